import { cpSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { survivedScenes } from "../native/survived_scenes";
import { InstalledPackage } from "./installed_package";

/**
 * A process that had worker threads, of which NMOS has none, stays now and then in Wine's (8.0) own code for the end of a
 * process, after everything was said and with no frame of Windows' side left.
 */
const scenesHere = survivedScenes.filter((scene) => process.platform === "win32" || !scene.startsWith("a worker"));

let installed: InstalledPackage;
let scenes: string;

beforeAll(async () => {
  installed = await InstalledPackage.install();
  scenes = installed.folder("scenes.mjs");
  cpSync(resolve("test/native/scenes.mjs"), scenes);
});
afterAll(() => installed.remove());

it.each([...scenesHere, "an exit in the middle of an answer"])("a process survives %s", async (scene) => {
  const { machine, model, damaged } = installed;
  const [script = "", ...args] = [scenes, join(installed.libraries, "nmos.node"), model].map((path) =>
    machine.pathOf(path),
  );
  const { status, output } = await machine.run(["--expose-gc", script, scene, ...args], damaged);
  expect({ status, output: output.trimEnd() }).toEqual({ status: 0, output: "as expected" });
});

it("none of them is left", async () => {
  expect(await installed.machine.allEnd()).toBe(true);
});
