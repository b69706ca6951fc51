import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import manifest from "../../package.json";
import { packageOffline } from "../../scripts/setup/offline_archive";
import { windowsPlatform } from "../../scripts/setup/cross_build";
import { ensureModel } from "../../scripts/fetch_model";
import type { HostProbeInput } from "./host_probe";
import { InstalledPackage } from "./installed_package";
import type { Observations } from "./observe";
import { probeOnWindows } from "./run_probe";

let installed: InstalledPackage;
let seen: Observations;

beforeAll(async () => {
  installed = await InstalledPackage.install();
  const { machine, extension, model, damaged } = installed;
  const input: HostProbeInput = {
    extensionRoot: machine.pathOf(extension),
    home: machine.pathOf(installed.folder("AppData/Local/nmos")),
    model: machine.pathOf(model),
    archive: machine.pathOf(await offlineArchive(installed.folder("Stick über 模型"))),
  };
  seen = await probeOnWindows(machine, { name: "host_probe", folder: installed.folder("probe"), input }, damaged);
});
afterAll(() => installed.remove());

/** With the package that is tested and the small model. */
function offlineArchive(folder: string): Promise<string> {
  const { version } = manifest;
  return packageOffline(
    { version, target: windowsPlatform, packs: [], models: ["smollm2-135m"], folder },
    {
      extension: () => Promise.resolve(resolve(`artifacts/nmos-${windowsPlatform}.vsix`)),
      pack: () => Promise.reject(new Error("no pack was asked for")),
      model: ensureModel,
    },
  );
}

const smallModel = [{ kind: "model", name: "SmolLM2 135M" }];

describe("a window and the engine host of the package", () => {
  it.each<[name: string, expected: unknown]>([
    ["a stranger on the pipe", { code: "UNAUTHORIZED", methods: ["hello"] }],
    ["a start", true],
    ["a completion", { text: "a + b", finish: "stop" }],
    ["an answer that is stopped", "cancelled"],
    ["a second window", true],
    [
      "the self-test",
      [
        "Load the native engine",
        "Find devices",
        "Load the model for ghost text",
        "Generate text with it",
        "Load the model for chat",
        "Generate text with it",
      ],
    ],
    ["an archive", { installed: smallModel, present: [], left: [], update: null, needsRestart: false }],
    [
      "an archive for the second time",
      { installed: [], present: smallModel, left: [], update: null, needsRestart: false },
    ],
    ["the model of the archive", "a + b"],
    ["a killed host", true],
    ["an end that was asked for", true],
    ["the last window", true],
    ["processes that are left", []],
  ])("%s", (name, value) => {
    expect(seen[name]).toEqual({ value });
  });

  it.each<[name: string, expected: RegExp]>([
    ["the endpoint", /^"\\\\\\\\\.\\\\pipe\\\\nmos-[0-9a-f]+-\d+"$/],
    ["the engine", /^{"library":"llama\.cpp .*"devices":\[.*"cpu"/],
    ["the log", /listening on .*only this user may connect: D:P?\(A;;[^()]*\)\\n/],
    ["the log", /listening on .*ending: a client asked for it.*ending: no client for 1000 ms\\n"$/],
    ["the log", /^(?!.*(uncaught|unhandled|cannot|no watchdog|others may still))/],
  ])("%s is as %s", (name, expected) => {
    expect(JSON.stringify((seen[name] as { value: unknown }).value)).toMatch(expected);
  });

  it.each<[name: string, expected: RegExp]>([
    ["an answer", /\w/],
    ["an answer in other letters", /naïve café/],
  ])("%s is streamed as it is", (name, expected) => {
    const { text, streamed } = (seen[name] as { value: { text: string; streamed: string } }).value;
    expect(streamed).toBe(text);
    expect(text).toMatch(expected);
  });

  it.each(["a wrong token", "no introduction"])("%s is refused", (name) => {
    expect(seen[name]).toMatchObject({ code: "UNAUTHORIZED" });
  });
});

it("every process has ended by itself", async () => {
  expect(await installed.machine.allEnd()).toBe(true);
});

it("nothing is written into the package's folder", () => {
  expect(installed.isUntouched()).toBe(true);
});
