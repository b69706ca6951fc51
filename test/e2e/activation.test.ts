import { availableParallelism, loadavg } from "node:os";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { reportPackage } from "../../scripts/setup/package_report";
import { Product } from "./product";
import type { Workbench } from "./workbench";

/** Fresh windows, each with an extension host of its own. */
const windows = 5;

let product: Product;

beforeAll(async () => {
  product = await Product.start({ files: { "readme.txt": "A workspace.\n" } });
});

afterAll(async () => {
  await product.stop();
});

afterEach(async ({ task }) => {
  if (task.result?.state === "fail") await product.keepEvidence(task.name);
});

/** Milliseconds VS Code shows for an extension in its list of running ones. */
async function activationShown({ page }: Workbench, extension: string): Promise<number> {
  const row = page.locator(`.runtime-extensions-editor .monaco-list-row[aria-label='${extension}']`);
  return Number(/(\d+)ms/.exec(await row.locator(".activation-time").innerText())?.[1]);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

it("is measured by VS Code itself in fresh windows", async () => {
  const own: number[] = [];
  const git: number[] = [];
  for (let index = 0; index < windows; index++) {
    const window = await product.openWindow();
    await window.statusBarItem("NMOS").first().waitFor();
    // High enough for the whole list: rows out of sight do not exist.
    await window.page.setViewportSize({ width: 1280, height: 2000 });
    await window.runCommand("Developer: Show Running Extensions");
    own.push(await activationShown(window, "nmos"));
    git.push(await activationShown(window, "git"));
    await product.closeWindow(window);
  }
  for (const samples of [own, git]) expect(samples.filter(Number.isFinite)).toHaveLength(windows);
  reportPackage({
    activation: {
      medianMs: median(own),
      samplesMs: own,
      gitMedianMs: median(git),
      targetMs: 100,
      cores: availableParallelism(),
      loadAverage: loadavg()[0] ?? 0,
      measured: "the packaged extension in the extension host of the browser edition, by VS Code's running extensions",
    },
  });
});
