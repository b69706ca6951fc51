import { existsSync } from "node:fs";
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
      `The native engine for ${process.platform}-${process.arch} cannot be loaded from ${libraryDirectory}: ${String(thrown)}. ${adviceFor(process.platform, process.env["SystemRoot"])}`,
      { cause: thrown },
    );
  }
}

/** Libraries of the Visual C++ runtime that the engine libraries need; a new Windows has none of them. */
const visualCpp = ["msvcp140.dll", "vcruntime140.dll", "vcruntime140_1.dll"];

/** What to do about an addon that cannot be loaded. `systemRoot` is the folder of Windows, such as `C:\\Windows`. */
export function adviceFor(platform: NodeJS.Platform, systemRoot: string | undefined): string {
  const missing = visualCpp.filter((name) => !existsSync(join(systemRoot ?? "", "System32", name)));
  if (platform !== "win32" || systemRoot === undefined || missing.length === 0) {
    return "Install the NMOS package for this platform.";
  }
  return `Microsoft's Visual C++ runtime is missing (${missing.join(", ")}): install it from https://aka.ms/vs/17/release/vc_redist.x64.exe and restart the engine.`;
}
