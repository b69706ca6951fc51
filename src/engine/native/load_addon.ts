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
 * Loads the addon of this platform from `prebuilds/<platform>-<arch>/` below the extension's folder. `NMOS_ADDON`
 * names another file instead, which tests use to stand in for the addon.
 */
export function loadAddon(extensionRoot: string): LoadedAddon {
  const libraryDirectory = join(extensionRoot, "prebuilds", `${process.platform}-${process.arch}`);
  const replacement = process.env["NMOS_ADDON"];
  try {
    const addon: unknown = replacement ? createRequire(replacement)(replacement) : nodeGypBuild(extensionRoot);
    return { addon: addon as NativeAddon, libraryDirectory };
  } catch (thrown) {
    throw new EngineError(
      "BACKEND_UNAVAILABLE",
      `The native engine for ${process.platform}-${process.arch} cannot be loaded from ${libraryDirectory}: ${String(thrown)}. Install the NMOS package for this platform again.`,
      { cause: thrown },
    );
  }
}
