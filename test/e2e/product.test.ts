import { copyFileSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Product, screenshots } from "./product";
import { until } from "./until";
import type { Workbench } from "./workbench";

const files = {
  "add.py": "def add(a, b):\n    return",
  "again.py": "def subtract(a, b):\n    return",
  "other.py": "def multiply(a, b):\n    return",
  "greet.py": 'def greet(name):\n    print("Hello " + name)\n',
  "shapes.py": "import math\n\n\ndef area(radius):\n    return 3 * radius * radius\n",
};

let product: Product;
let window: Workbench;

beforeAll(async () => {
  product = await Product.start(files);
  window = await product.openWindow();
});

afterAll(async () => {
  await product.stop();
});

/** Waits until the extension runs: VS Code asks for ghost text only from then on. */
async function activated(workbench: Workbench): Promise<void> {
  await workbench.statusBarItem(/NMOS/).first().waitFor();
}

describe("ghost text", () => {
  it("comes from the real model and is accepted with Tab", async () => {
    await activated(window);
    await window.openFile("add.py");
    await window.goToEnd();
    await window.type(" ");
    const suggested = await window.ghostTextShown((text) => text.includes("+"));
    expect(suggested.replace(/\s+/g, "")).toBe("a+b");
    await shot("ghost_text");
    await window.press("Tab");
    const saved = await window.savedText("add.py", (text) => text.includes("+"));
    expect(saved).toMatch(/^def add\(a, b\):\n {4}return a \+ b\n?$/);
  });
});

describe("chat", () => {
  it("streams markdown with a code block and applies it to the file", async () => {
    await window.openFile("greet.py");
    await window.runCommand("NMOS: New Chat");
    const chat = window.webview;
    const input = chat.getByRole("textbox", { name: "Message to NMOS" });
    await input.fill(
      "Write a Python function greet(name) that returns the string 'Hello, ' plus the name. Answer with one code block.",
    );
    await input.press("Enter");
    await chat.locator(".message.assistant.streaming").waitFor();
    const block = chat.locator(".message.assistant.complete .code-block").first();
    await block.waitFor();
    await expect.poll(() => block.textContent()).toContain("def greet");
    await shot("chat");

    await block.getByRole("button", { name: "Apply" }).click();
    await window.page.locator(".tab.active").filter({ hasText: "Apply to greet.py" }).waitFor();
    await shot("apply");
    await window.runCommand("NMOS: Accept Edit");
    await window.openFile("greet.py");
    const saved = await window.savedText("greet.py", (text) => text.includes("return"));
    expect(saved).toContain("def greet(name)");
    expect(saved.match(/def greet/g)).toHaveLength(1);
  });

  it("keeps the conversation over a reload of the window", async () => {
    await window.page.reload();
    await activated(window);
    await window.runCommand("NMOS: Focus on Chat View");
    await window.webview.locator(".message.assistant.complete .code-block").first().waitFor();
  });
});

describe("edit command", () => {
  it("proposes a diff that is accepted", async () => {
    await window.openFile("shapes.py");
    await window.press("Control+A");
    await window.runCommand("NMOS: Edit with Instruction");
    await window.answer("Replace 3 by math.pi");
    await window.page.locator(".tab.active").filter({ hasText: "Replace 3 by math.pi" }).waitFor();
    const accept = window.page.getByRole("button", { name: "Accept Edit" }).first();
    await accept.waitFor();
    await shot("edit");
    await accept.click();
    await window.openFile("shapes.py");
    const saved = await window.savedText("shapes.py", (text) => text.includes("math.pi"));
    expect(saved).toContain("math.pi * radius");
  });
});

describe("engine host", () => {
  it("is started again after it was killed", async () => {
    const [before] = product.hosts();
    expect(before).toBeDefined();
    process.kill(Number(before), "SIGKILL");
    await until(
      "no engine host",
      () => product.hosts(),
      (hosts) => !hosts.includes(Number(before)),
    );
    await window.openFile("again.py");
    await window.goToEnd();
    await window.type(" ");
    const suggested = await window.ghostTextShown((text) => text.includes("-"));
    expect(suggested.replace(/\s+/g, "")).toBe("a-b");
    const after = product.hosts();
    expect(after).toHaveLength(1);
    expect(after).not.toContain(before);
  });

  it("is one for two windows", async () => {
    const second = await product.openWindow();
    await activated(second);
    await second.openFile("other.py");
    await second.goToEnd();
    await second.type(" ");
    const suggested = await second.ghostTextShown((text) => text.includes("*"));
    expect(suggested.replace(/\s+/g, "")).toBe("a*b");
    expect(product.hosts()).toHaveLength(1);
    await second.runCommand("NMOS: Show Memory");
    await second.page.locator(".tab.active").filter({ hasText: "Memory" }).waitFor();
    await second.screenshot(join(screenshots, "memory.png"));
  });
});

/** A screenshot for CI's artefacts; with NMOS_DOC_IMAGES also for the documents. */
async function shot(name: string): Promise<void> {
  const path = join(screenshots, `${name}.png`);
  await window.screenshot(path);
  if (!process.env["NMOS_DOC_IMAGES"] || !["ghost_text", "chat"].includes(name)) return;
  mkdirSync(resolve("docs/images"), { recursive: true });
  copyFileSync(path, resolve("docs/images", `${name}.png`));
}
