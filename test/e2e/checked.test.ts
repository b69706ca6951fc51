import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { ensureModel } from "../../scripts/fetch_model";
import { Product } from "./product";
import type { Workbench } from "./workbench";

let product: Product;
let window: Workbench;

beforeAll(async () => {
  product = await Product.start({
    files: { "config.py": "from json import\n\nconfig = loads(text)\n" },
    settings: {
      // Was not trained to fill in: it does not know what is behind the cursor.
      "nmos.completion.model": await ensureModel("smollm2-135m"),
      "nmos.completion.hideUnlikely": "off",
      "nmos.completion.checkWithMainModel": true,
    },
  });
  window = await product.openWindow();
});

afterAll(async () => {
  await product.stop();
});

afterEach(async ({ task }) => {
  if (task.result?.state === "fail") await product.keepEvidence(task.name);
});

it("ghost text becomes what the model for chat suggests while that is in memory", async () => {
  await window.statusBarItem(/NMOS/).first().waitFor();
  // Loads both.
  await window.runCommand("NMOS: Run Self-Test");
  await window.page.getByText(/All\s\d+\ssteps\spassed/).waitFor({ timeout: 240_000 });
  await window.openFile("config.py");
  await window.press("Control+Home", "End");
  await window.type(" ");
  const shown = await window.ghostTextShown((text) => text.includes("loads"));
  expect(shown.trim()).toBe("loads");
  await window.press("Tab");
  const saved = await window.savedText("config.py", "import loads");
  expect(saved).toBe("from json import loads\n\nconfig = loads(text)\n");
});
