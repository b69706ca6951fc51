import { spawn } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { libraryDirectory, modelPath, root } from "./support";
import { survivedScenes } from "./survived_scenes";

interface Ending {
  code: number | null;
  signal: string | null;
  output: string;
}

/** Runs one scene of scenes.mjs in a process of its own. */
function play(scene: string): Promise<Ending> {
  const script = join(root, "test/native/scenes.mjs");
  const args = ["--expose-gc", script, scene, join(libraryDirectory, "nmos.node"), modelPath];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      resolve({ code, signal, output });
    });
  });
}

describe("a process", () => {
  it.each(survivedScenes)("survives %s", async (scene) => {
    expect(await play(scene)).toEqual({ code: 0, signal: null, output: "as expected\n" });
  });

  // Where threads meet the end of the process, one good ending proves little.
  it("survives an exit in the middle of an answer, every time", async () => {
    for (let time = 0; time < 5; ++time) {
      expect(await play("an exit in the middle of an answer")).toEqual({
        code: 0,
        signal: null,
        output: "as expected\n",
      });
    }
  });

  it("dies of an exception in a callback as of any other", async () => {
    const { code, signal, output } = await play("an exception in a callback");
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(output).toContain("Error: from the callback");
  });
});
