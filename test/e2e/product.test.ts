import { copyFileSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { mappedEngineLibraries } from "./processes";
import { Product, screenshots } from "./product";
import { until } from "./until";
import type { Workbench } from "./workbench";

const files = {
  "add.py": "def add(a, b):\n    return",
  "again.py": "def subtract(a, b):\n    return",
  "greet.py": 'def greet(name):\n    print("Hello " + name)\n',
  "shapes.py": "def area(radius):\n    return 3 * radius * radius\n",
};

let product: Product;
let window: Workbench;

beforeAll(async () => {
  product = await Product.start({ files });
  window = await product.openWindow();
});

afterAll(async () => {
  await product.stop();
});

afterEach(async ({ task }) => {
  if (task.result?.state === "fail") await product.keepEvidence(task.name);
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
    const saved = await window.savedText("add.py", "+");
    expect(saved).toMatch(/^def add\(a, b\):\n {4}return a \+ b\n?$/);
  });
});

describe("chat", () => {
  it("streams markdown with a code block and applies it to the file", async () => {
    await window.openFile("greet.py");
    const chat = await newChat();
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
    await window.tabInFront("Apply to greet.py");
    await window.proposedCode.filter({ hasText: "return" }).waitFor();
    await shot("apply");
    await window.runCommand("NMOS: Accept Edit");
    await window.tabInFront("greet.py");
    const saved = await window.savedText("greet.py", "return");
    expect(saved).toContain("def greet(name)");
    expect(saved.match(/def greet/g)).toHaveLength(1);
  });

  it("keeps the conversation over a reload of the window", async () => {
    await window.page.reload();
    await activated(window);
    await window.runCommand("NMOS: Focus on Chat View");
    await window.webviewView.locator(".message.assistant.complete .code-block").first().waitFor();
  });
});

describe("edit command", () => {
  it("proposes a diff that is accepted", async () => {
    await window.openFile("shapes.py");
    await window.press("Control+A");
    await window.runCommand("NMOS: Edit with Instruction");
    await window.answer("Use 3.14159 instead of 3");
    await window.tabInFront("Use 3.14159 instead of 3 (shapes.py)");
    const accept = window.page.getByRole("button", { name: "Accept Edit" }).first();
    await accept.waitFor();
    await window.proposedCode.filter({ hasText: "3.14159" }).waitFor();
    await shot("edit");
    await accept.click();
    await window.tabInFront("shapes.py");
    const saved = await window.savedText("shapes.py", "3.14159");
    expect(saved).toBe("def area(radius):\n    return 3.14159 * radius * radius\n");
  });
});

/** The passes of all models that the memory view in front shows. */
async function shownPasses(): Promise<number> {
  const counts = window.webviewEditor
    .locator(".facts > div")
    .filter({ hasText: /^passes/ })
    .locator("dd");
  const texts = await counts.allInnerTexts();
  return texts.reduce((sum, text) => sum + Number(text.replaceAll(",", "")), 0);
}

/** A conversation with nothing in it yet. */
async function newChat(): Promise<typeof window.webviewView> {
  await window.runCommand("NMOS: New Chat");
  await window.webviewView.getByText("Ask about your code").waitFor();
  return window.webviewView;
}

describe("memory view", () => {
  it("follows an answer while it is written", async () => {
    await window.runCommand("NMOS: Show Memory");
    await window.tabInFront("NMOS Memory");
    await window.webviewEditor
      .getByRole("img", { name: /^\d+ layers\. / })
      .first()
      .waitFor();
    const chat = await newChat();
    const input = chat.getByRole("textbox", { name: "Message to NMOS" });
    await input.fill("Write the numbers from one to two hundred as English words, one on each line.");
    await input.press("Enter");
    const streaming = chat.locator(".message.assistant.streaming .markdown");
    await streaming.filter({ hasText: "three" }).waitFor();
    const before = await shownPasses();
    await expect.poll(shownPasses, { timeout: 60_000 }).toBeGreaterThan(before + 3);
    await window.webviewEditor.getByText("computing", { exact: true }).first().waitFor();
    expect(await streaming.count()).toBe(1);
    await shot("memory_live");
    await chat.getByRole("button", { name: "Stop" }).click();
    await streaming.waitFor({ state: "detached" });
    await expect.poll(() => window.webviewEditor.getByText("computing", { exact: true }).count()).toBe(0);
  });
});

/** Kills the engine host of the profile, as a crash in a driver would end it; returns its process id. */
async function killEngineHost(): Promise<number> {
  const hosts = product.hosts();
  expect(hosts).toHaveLength(1);
  const [host = 0] = hosts;
  process.kill(host, "SIGKILL");
  await until(
    "no engine host with the old process id",
    () => product.hosts(),
    (pids) => !pids.includes(host),
  );
  return host;
}

describe("engine host", () => {
  it("is started again after it was killed", async () => {
    const before = await killEngineHost();
    await window.openFile("again.py");
    await window.goToEnd();
    await window.type(" ");
    const suggested = await window.ghostTextShown((text) => text.includes("-"));
    expect(suggested.replace(/\s+/g, "")).toBe("a-b");
    const after = product.hosts();
    expect(after).toHaveLength(1);
    expect(after).not.toContain(before);
  });

  it("leaves a clear error when it is killed in the middle of an answer, and answers the next question", async () => {
    const chat = await newChat();
    const input = chat.getByRole("textbox", { name: "Message to NMOS" });
    await input.fill("Write the numbers from one to two hundred as English words, one on each line.");
    await input.press("Enter");
    const streaming = chat.locator(".message.assistant.streaming .markdown");
    await streaming.filter({ hasText: "three" }).waitFor();
    const before = await killEngineHost();

    const failure = chat.locator(".message.assistant .failure");
    await failure.waitFor();
    await shot("engine_killed");
    expect(await failure.innerText()).toMatch(/engine/i);
    // What had come stays, and is no longer being written.
    await chat.locator(".message.assistant", { hasText: "three" }).waitFor();
    expect(await streaming.count()).toBe(0);

    await input.fill("What is the capital of France?");
    await input.press("Enter");
    await chat.locator(".message.assistant.complete").filter({ hasText: "Paris" }).waitFor();
    const after = product.hosts();
    expect(after).toHaveLength(1);
    expect(after).not.toContain(before);
  });

  it("is one for two windows", async () => {
    const second = await product.openWindow("other", { "other.py": "def multiply(a, b):\n    return" });
    await activated(second);
    await second.openFile("other.py");
    await second.goToEnd();
    await second.type(" ");
    const suggested = await second.ghostTextShown((text) => text.includes("*"));
    expect(suggested.replace(/\s+/g, "")).toBe("a*b");
    expect(product.hosts()).toHaveLength(1);
    expect(product.extensionHosts()).toHaveLength(2);
    await second.runCommand("NMOS: Show Memory");
    await second.tabInFront(/Memory/);
    const [host = 0] = product.hosts();
    const memory = second.webviewEditor;
    await memory.getByText(`process ${host}, serving 2 windows`).waitFor();
    await memory.getByRole("img", { name: /^RAM, .*: engine process [\d,]+ MiB, / }).waitFor();
    const layers = memory.getByRole("img", { name: /^\d+ layers\. Attention and KV cache of / }).first();
    const expected = Number.parseInt((await layers.getAttribute("aria-label")) ?? "", 10);
    expect(expected).toBeGreaterThan(1);
    // And the output head.
    expect(await layers.locator(".column").count()).toBe(expected + 1);
    expect(await layers.locator(".column").last().innerText()).toBe("out");

    // The table opens by keyboard and stays open while pictures come in.
    const table = memory.getByRole("table").first();
    await memory.getByText("Layer by layer").first().press("Enter");
    await table.getByRole("columnheader", { name: "network on the card" }).waitFor();
    expect(await table.getByRole("rowheader", { name: "output head" }).isVisible()).toBe(true);
    await second.screenshot(join(screenshots, "memory.png"));
  });

  it("alone has the native code: the extension hosts load nothing of it", () => {
    const [host = 0] = product.hosts();
    expect(mappedEngineLibraries(host)).toContain("nmos.node");
    for (const extensionHost of product.extensionHosts()) expect(mappedEngineLibraries(extensionHost)).toEqual([]);
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
