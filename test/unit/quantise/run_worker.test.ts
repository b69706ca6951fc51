import { realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { workerRunner } from "../../../src/engine/quantise/run_worker";
import { temporaryDirectories } from "../models/temporary_directory";

const temporaryDirectory = temporaryDirectories();

const task = { kind: "plan", path: "/model.gguf", types: [] } as const;

/** Runs a task in a process of this program; null: its file is not there. */
function run(program: string | null, given: { extensionRoot?: string; directory?: string } = {}) {
  const root = temporaryDirectory();
  const script = join(root, "worker.cjs");
  if (program !== null) writeFileSync(script, program);
  const { extensionRoot = root, directory = root } = given;
  const runWorker = workerRunner({ script, extensionRoot, log: () => undefined });
  return runWorker(task, { signal: new AbortController().signal, directory });
}

describe("a quantising process", () => {
  // The extension's folder may have a longer path than a process of Windows can begin in.
  test("begins where its program is and is told the folder to work in", async () => {
    const directory = temporaryDirectory();
    const extensionRoot = temporaryDirectory();
    const program = `process.once("message", () => {
      process.send({ ok: true, value: [process.cwd(), ...process.argv.slice(2)] }, () => process.disconnect());
    });`;
    const answer = (await run(program, { extensionRoot, directory })) as unknown as string[];
    expect(answer).toEqual([realpathSync(dirname(process.execPath)), extensionRoot, directory]);
  });

  test.each<[what: string, program: string | null, given: { directory?: string }]>([
    ["whose program is not there", null, {}],
    ["whose arguments the system does not take", "", { directory: "a\0b" }],
  ])("%s cannot be started", async (_, program, given) => {
    await expect(run(program, given)).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      message: expect.stringContaining("The quantising process cannot be started: ") as string,
    });
  });

  test("that ends without an answer has died", async () => {
    await expect(run("process.exit(3)")).rejects.toMatchObject({
      code: "ENGINE_DIED",
      message: expect.stringContaining("code 3") as string,
    });
  });
});
