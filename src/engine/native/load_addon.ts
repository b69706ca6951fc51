import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import nodeGypBuild from "node-gyp-build";
import { join } from "node:path";
import { EngineError } from "../../shared/errors";
import type { NativeAddon } from "./addon";

export interface LoadedAddon {
  addon: NativeAddon;
  /** Folder of the engine libraries: the addon's own. */
  libraryDirectory: string;
}

/**
 * What the addon needs beside it on Windows, as far as Windows would take it from elsewhere: Node has it look for what is not
 * beside the addon in the working folder and on the PATH, before the addon could forbid that.
 */
const windowsLibraries: readonly [name: string, file: RegExp][] = [
  ["llama*.v*.dll", /^llama(\.\w+)?\.v.*\.dll$/i],
  ["ggml*.v*.dll", /^ggml(\.\w+)?\.v.*\.dll$/i],
  ["ggml-base.dll", /^ggml-base\.dll$/i],
  ["msvcp140.dll", /^msvcp140\.dll$/i],
  ["vcruntime140.dll", /^vcruntime140\.dll$/i],
  ["vcruntime140_1.dll", /^vcruntime140_1\.dll$/i],
];

/** Names of the libraries that an addon has to have beside it on this platform, and has not. */
export function missingLibraries(platform: NodeJS.Platform, files: readonly string[]): string[] {
  if (platform !== "win32") return [];
  return windowsLibraries.filter(([, form]) => !files.some((file) => form.test(file))).map(([name]) => name);
}

/**
 * Loads the addon of this platform from `prebuilds/<platform>-<arch>/` below the extension's folder. `NMOS_ADDON`
 * names another file instead, which tests use to stand in for the addon.
 */
export function loadAddon(extensionRoot: string): LoadedAddon {
  const libraryDirectory = join(extensionRoot, "prebuilds", `${process.platform}-${process.arch}`);
  const replacement = process.env["NMOS_ADDON"];
  try {
    if (replacement) return { addon: createRequire(replacement)(replacement) as NativeAddon, libraryDirectory };
    const missing = missingLibraries(process.platform, readdirSync(libraryDirectory));
    if (missing.length > 0) throw new Error(`${missing.join(", ")} is missing there`);
    return { addon: nodeGypBuild(extensionRoot) as NativeAddon, libraryDirectory };
  } catch (thrown) {
    throw new EngineError(
      "BACKEND_UNAVAILABLE",
      `The native engine for ${process.platform}-${process.arch} cannot be loaded from ${libraryDirectory}: ${String(thrown)}. Install the NMOS package for this platform again.`,
      { cause: thrown },
    );
  }
}
