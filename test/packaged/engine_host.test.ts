import { afterAll, beforeAll, describe, expect, it } from "vitest";
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
  };
  seen = await probeOnWindows(machine, { name: "host_probe", folder: installed.folder("probe"), input }, damaged);
});
afterAll(() => installed.remove());

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
    ["the log", /listening on .*ending: a client asked for it.*ending: no client for 1000 ms\\n"$/],
    ["the log", /^(?!.*(uncaught|unhandled|cannot|no watchdog))/],
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
