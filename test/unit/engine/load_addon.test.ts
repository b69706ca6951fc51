import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadAddon, missingLibraries } from "../../../src/engine/native/load_addon";
import { temporaryDirectories } from "../models/temporary_directory";

const temporaryDirectory = temporaryDirectories();

describe("an addon that cannot be loaded", () => {
  it.each<[what: string, addon: string | null]>([
    ["is not there", null],
    ["is damaged", "no library"],
  ])("and %s is refused with its folder and what to do", (_, addon) => {
    const root = temporaryDirectory();
    const libraries = join(root, "prebuilds", `${process.platform}-${process.arch}`);
    mkdirSync(libraries, { recursive: true });
    if (addon !== null) writeFileSync(join(libraries, "nmos.node"), addon);
    let thrown: unknown;
    try {
      loadAddon(root);
    } catch (refusal) {
      thrown = refusal;
    }
    expect(thrown).toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    const { message } = thrown as Error;
    expect(message).toContain(libraries);
    expect(message).toMatch(/Install the NMOS package for this platform again\.$/);
  });
});

describe("an addon on Windows", () => {
  const whole = ["nmos.node", "llama.cuda.v0.4.0.dll", "ggml.v0.4.0.dll", "ggml-base.dll", "ggml-cpu-x64.dll"].concat([
    "msvcp140.dll",
    "VCRUNTIME140.dll",
    "vcruntime140_1.dll",
  ]);

  it.each<[what: string, platform: NodeJS.Platform, files: string[], missing: string[]]>([
    ["nothing where all is there", "win32", whole, []],
    [
      "each by its name",
      "win32",
      whole.filter((file) => !/base|140_1/.test(file)),
      ["ggml-base.dll", "vcruntime140_1.dll"],
    ],
    ["those of a version", "win32", whole.filter((file) => !file.includes(".v")), ["llama*.v*.dll", "ggml*.v*.dll"]],
    ["none where systems look nowhere else", "linux", ["nmos.node"], []],
  ])("lacks %s", (_, platform, files, missing) => {
    expect(missingLibraries(platform, files)).toEqual(missing);
  });
});
