import { basename } from "node:path";
import { expect, test } from "vitest";
import { programOutput } from "../../../bench/harness/run_program";
import { Stops } from "../../../bench/harness/stops";

const node = process.execPath;

test("the output of a program that read its input, in its folder and environment", async () => {
  const script =
    'process.stdin.on("data", (text) => process.stdout.write(`${text} ${process.env.ONE} ${process.cwd()}`))';
  const env = { ...process.env, ONE: "two" };
  const output = await programOutput(node, ["-e", script], new Stops(), { input: "read", env, cwd: __dirname });
  expect(output).toBe(`read two ${__dirname}`);
});

test("a program that fails is named, with its arguments, status and the end of its errors", async () => {
  const script = 'process.stderr.write("a".repeat(3000) + "the cause"); process.exitCode = 3';
  const failure = programOutput(node, ["-e", script, "model.gguf"], new Stops());
  const tail = "a".repeat(2000 - "the cause".length);
  await expect(failure).rejects.toThrow(`${basename(node)} -e ${script} model.gguf ended with 3: ${tail}the cause`);
  await expect(failure).rejects.not.toThrow(`: a${tail}`);
});

test("a program that is ended from outside fails by the signal's name", async () => {
  const stops = new Stops();
  const failure = programOutput(node, ["-e", "setInterval(() => undefined, 1000)"], stops);
  const refused = expect(failure).rejects.toThrow("ended with SIGKILL: ");
  await stops.run();
  await refused;
});
