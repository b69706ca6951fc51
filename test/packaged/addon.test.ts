import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve, win32 } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { windowsPlatform } from "../../scripts/setup/cross_build";
import { relativeLinks } from "../../scripts/setup/packaged_readme";
import type { AddonProbeInput } from "./addon_probe";
import { InstalledPackage } from "./installed_package";
import type { LoadProbeInput } from "./load_probe";
import type { Observation, Observations } from "./observe";
import { probeHere, probeOnWindows } from "./run_probe";

let installed: InstalledPackage;
let windows: Observations;
let here: Observations;
let distantModel: string;

beforeAll(async () => {
  installed = await InstalledPackage.install();
  const { machine, extension, model, damaged } = installed;
  distantModel = installed.distantModel();
  const linkedModel = installed.linkedModel();
  const distantBackend = installed.distantBackend();
  const badModels = Object.entries(installed.badModels());
  const input = (extensionRoot: string, place: string, pathOf: (path: string) => string): AddonProbeInput => ({
    extensionRoot: pathOf(extensionRoot),
    modelsDirectory: pathOf(installed.folder(place)),
    model: pathOf(model),
    distantModel: pathOf(distantModel),
    linkedModel: pathOf(linkedModel),
    distantBackend: pathOf(distantBackend),
    badModels: Object.fromEntries(badModels.map(([code, path]) => [code, pathOf(path)])),
  });
  const name = "addon_probe";
  const onWindows = {
    name,
    folder: installed.folder("probe"),
    input: input(extension, "Kleine Modelle 模型", (path) => machine.pathOf(path)),
  };
  windows = await probeOnWindows(machine, onWindows, damaged);
  here = await probeHere({
    name,
    folder: installed.folder("other probe"),
    input: input(resolve("."), "other models", (path) => path),
  });
});
afterAll(() => installed.remove());

const valueOf = (observation: Observation | undefined): unknown => {
  expect(observation).toHaveProperty("value");
  return (observation as { value: unknown }).value;
};

describe("on Windows as on this system", () => {
  it.each<[name: string, expected?: unknown]>([
    ["the addon", ["Cancellation", "Engine", "keepPipeToUser"]],
    ["the engine"],
    ["memory", { available: true, process: true }],
    ["the battery", "boolean"],
    ["the model"],
    ["tokens"],
    ["text of the tokens", []],
    ["answers"],
    ["a saved session"],
    ["a cancelled answer", "cancelled"],
    ["a cancelled load", null],
    ["a model with a long path"],
    ["a cancelled quantisation", { outcome: "CANCELLED", files: [] }],
    ["a quantised model", { outcome: { sizeBytes: 91_726_912, isCompared: true }, files: ["smollm2-Q4_0.gguf"] }],
    ["a model behind a link"],
  ])("%s", (name, expected) => {
    const value = valueOf(windows[name]);
    expect(value).toEqual(valueOf(here[name]));
    if (expected !== undefined) expect(value).toEqual(expected);
  });
});

it("the long path is longer than Windows usually takes", () => {
  expect(installed.machine.pathOf(distantModel).length).toBeGreaterThan(260);
});

describe("a file that is no model", () => {
  it.each(["MODEL_NOT_FOUND", "MODEL_INVALID", "MODEL_TRUNCATED"])("is refused with %s", (code) => {
    expect(windows[code]).toMatchObject({ code });
    // One line, also where it has the system's reason in it.
    expect(windows[code]).toHaveProperty("message", expect.not.stringMatching(/[\r\n]/));
  });
});

it("a backend without its driver is left out", () => {
  expect(valueOf(windows["every backend"])).toContain("cpu");
});

describe("libraries", () => {
  it("come from the package, though damaged ones lie in the working folder and on the PATH", () => {
    const paths = valueOf(windows["libraries"]) as string[];
    const folder = installed.machine.pathOf(installed.libraries);
    expect(paths.map((path) => win32.dirname(path)).filter((directory) => directory !== folder)).toEqual([]);
    // As whoever imports them writes them.
    const names = paths.map((path) =>
      win32
        .basename(path)
        .toLowerCase()
        .replace(/(\.\w+)?\.v[\d.]+\.dll$|-cpu-\w+\.dll$/, "*"),
    );
    // It is there where the system has Vulkan's loader, also when that finds no card.
    const needed = names.filter((name) => name !== "ggml-vulkan.dll");
    const runtime = ["msvcp140.dll", "vcruntime140.dll", "vcruntime140_1.dll"];
    expect(needed.sort()).toEqual(["ggml*", "ggml*", "ggml-base.dll", "llama*", ...runtime, "nmos.node"].sort());
    expect(installed.runtime).toEqual(runtime);
  });

  it("are found in a folder whose path is longer than Windows usually takes, as are the programs", async () => {
    const { machine, model } = installed;
    const extensionRoot = machine.pathOf(installed.distantExtension());
    expect(extensionRoot.length).toBeGreaterThan(260);
    const [home, file, models] = [installed.folder("distant home"), model, dirname(model)].map((path) =>
      machine.pathOf(path),
    );
    const input: LoadProbeInput = {
      extensionRoot,
      processes: { home: home ?? "", model: file ?? "", models: models ?? "" },
    };
    const probe = { name: "load_probe", folder: installed.folder("distant probe"), input };
    const seen = await probeOnWindows(machine, probe, installed.damaged);
    expect(seen).toMatchObject({
      "the addon": { value: ["Cancellation", "Engine", "keepPipeToUser"] },
      "the engine": { value: ["cpu"] },
      "an engine host": { value: expect.arrayContaining(["cpu"]) as string[] },
      "a quantising process": { value: "q4_1" },
    });
  });

  it("of the package serve the backend of a pack, which has none beside it", () => {
    expect(valueOf(windows["a pack"])).toEqual({ usable: true, reason: "" });
  });

  it("of the Visual C++ runtime are needed in the package", async () => {
    const { machine, libraries, runtime } = installed;
    if (!machine.hasNoRuntime) return;
    const root = installed.folder("without runtime");
    const prebuilds = join(root, "prebuilds", windowsPlatform);
    cpSync(libraries, prebuilds, { recursive: true, filter: (path) => !runtime.includes(basename(path)) });
    const input: LoadProbeInput = { extensionRoot: machine.pathOf(root) };
    const seen = await probeOnWindows(machine, { name: "load_probe", folder: join(root, "probe"), input }, root);
    expect(seen["the addon"]).toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  });

  // Windows itself would take good ones from there.
  it.each<[what: string, folder: () => string]>([
    ["good ones", () => installed.libraries],
    ["damaged ones", () => installed.damaged],
  ])("are not taken from the PATH by an addon that has none: %s", async (what, folder) => {
    const root = installed.folder(`bare addon, ${what}`);
    const prebuilds = join(root, "prebuilds", windowsPlatform);
    mkdirSync(prebuilds, { recursive: true });
    for (const name of ["nmos.node", ...installed.runtime])
      cpSync(join(installed.libraries, name), join(prebuilds, name));
    const { machine } = installed;
    const input: LoadProbeInput = { extensionRoot: machine.pathOf(root) };
    const seen = await probeOnWindows(
      machine,
      { name: "load_probe", folder: join(root, basename(root)), input },
      folder(),
    );
    const message = expect.stringContaining("llama*.v*.dll, ggml*.v*.dll, ggml-base.dll is missing there") as string;
    expect(seen["the addon"]).toEqual({ code: "BACKEND_UNAVAILABLE", message });
  });
});

describe("a named pipe", () => {
  it("is this user's alone when it is kept to them, and goes on to serve", () => {
    const { list, heard } = valueOf(windows["a kept pipe"]) as { list: string; heard: string };
    // One entry: all rights, for one user.
    expect(list).toMatch(/^D:P?\(A;;(?:FA|0x0*1f01ff);;;(?:S-1-5-[\d-]+|LA)\)$/);
    expect(heard).toBe("served".repeat(9));
  });

  it("that is none cannot be", () => {
    expect(windows["a pipe that nobody has"]).toMatchObject({ code: "INTERNAL" });
    expect(here["a pipe that nobody has"]).toMatchObject({ code: "INTERNAL" });
  });
});

it("the package's README has no link that leads nowhere", () => {
  const readme = readFileSync(join(installed.extension, "readme.md"), "utf8");
  expect(readme).toContain("# NMOS");
  expect(relativeLinks(readme)).toEqual([]);
});

it("nothing is written into the package's folder", () => {
  expect(installed.isUntouched()).toBe(true);
});
