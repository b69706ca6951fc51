import { realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { workerRunner } from "../../../src/engine/quantise/run_worker";
import { temporaryDirectories } from "../models/temporary_directory";

const temporaryDirectory = temporaryDirectories();

const task = { kind: "plan", path: "/model.gguf", types: [] } as const;

/** Runs a task in a process of this program, which starts in `extensionRoot`. */
function run(program: string, given: { extensionRoot?: string; directory?: string } = {}) {
  const root = temporaryDirectory();
  const script = join(root, "worker.cjs");
  writeFileSync(script, program);
  const { extensionRoot = root, directory = root } = given;
  const runWorker = workerRunner({ script, extensionRoot, log: () => undefined });
  return runWorker(task, { signal: new AbortController().signal, directory });
}

describe("a quantising process", () => {
  test("begins where the extension is and is told the folder to work in", async () => {
    const directory = temporaryDirectory();
    const extensionRoot = temporaryDirectory();
    const program = `process.once("message", () => {
      process.send({ ok: true, value: [process.cwd(), ...process.argv.slice(2)] }, () => process.disconnect());
    });`;
    const answer = (await run(program, { extensionRoot, directory })) as unknown as string[];
    expect(answer).toEqual([realpathSync(extensionRoot), extensionRoot, directory]);
  });

  test.each([
    ["whose folder is not there", { extensionRoot: join(tmpdir(), "nmos-nowhere", "nowhere") }],
    ["whose arguments the system does not take", { directory: "a\0b" }],
  ])("%s cannot be started", async (_, given) => {
    await expect(run("", given)).rejects.toMatchObject({
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
