import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { modelsDirectory } from "../../src/engine/paths";
import { startModelMirror, type ModelMirror } from "./model_mirror";
import { Product, screenshots } from "./product";
import type { Workbench } from "./workbench";

/** A machine without any model. The tests tell one story and need each other. */
let product: Product;
let window: Workbench;
let mirror: ModelMirror;
let models: string;

beforeAll(async () => {
  models = mkdtempSync(join(tmpdir(), "nmos-e2e-models-"));
  mirror = await startModelMirror(modelsDirectory());
  product = await Product.start({
    files: { "add.py": "def add(a, b):\n    return" },
    settings: { "nmos.engine.modelsDirectory": models, "nmos.download.mirror": mirror.url },
  });
  window = await product.openWindow();
});

afterAll(async () => {
  await product.stop();
  await mirror.close();
  rmSync(models, { recursive: true, force: true });
});

afterEach(async ({ task }) => {
  if (task.result?.state === "fail") await product.keepEvidence(task.name);
});

it("offers a model once and shows the walkthrough", async () => {
  const offer = window.notification("NMOS needs a language model").first();
  await offer.waitFor();
  await window.statusBarItem("NMOS: no model").waitFor();
  await window.screenshot(join(screenshots, "first_run.png"));
  await offer.getByRole("button", { name: /^Download \(/ }).waitFor();
  await offer.getByRole("button", { name: "Get Started" }).click();
  const walkthrough = window.page.locator(".getting-started-step").filter({ hasText: "Download a model" });
  await walkthrough.first().waitFor();
  await window.screenshot(join(screenshots, "walkthrough.png"));
});

it("says in the chat what is missing", async () => {
  await window.runCommand("NMOS: New Chat");
  const input = window.webviewView.getByRole("textbox", { name: "Message to NMOS" });
  await input.fill("Hello");
  await input.press("Enter");
  const failure = window.webviewView.getByRole("alert");
  await failure.getByRole("button", { name: "Download a model" }).waitFor();
});

it("downloads a model and completes with it", async () => {
  await window.runCommand("NMOS: Download Model");
  await window.pick("Qwen2.5-Coder 0.5B");
  await window.notification("Qwen2.5-Coder 0.5B is installed").first().waitFor({ timeout: 300_000 });
  expect(readdirSync(models)).toContain("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
  await window.openFile("add.py");
  await window.goToEnd();
  await window.type(" ");
  const suggested = await window.ghostTextShown((text) => text.includes("+"));
  expect(suggested.replace(/\s+/g, "")).toBe("a+b");
});
