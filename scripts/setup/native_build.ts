import { join } from "node:path";
import { ensureEngineLibraries, hostPlatform } from "./engine_libraries";
import { layOutPrebuild, prebuildFolder } from "./prebuild_layout";
import { runCommand } from "./run_command";

/** Where cmake-js builds and ctest runs. Not `build` itself, where node-gyp-build would look for an addon first. */
export const buildDirectory = join("build", "native");

/** Where node-gyp-build finds the addon, together with the engine libraries. */
export const prebuildDirectory = prebuildFolder(hostPlatform);

/**
 * Builds the addon and the core's tests with cmake-js and lays the addon out as
 * `prebuilds/<platform>-<arch>/nmos.node` beside the engine libraries. Builds only what changed.
 */
export async function buildNative(): Promise<void> {
  const { sources, libraries } = await ensureEngineLibraries();
  const defines = { NMOS_LLAMA_SOURCES: sources, NMOS_LIBRARIES: libraries };
  await runCommand("npx", [
    "cmake-js",
    "build",
    "--out",
    buildDirectory,
    "--config",
    "Release",
    "--log-level",
    "warn",
    ...Object.entries(defines).map(([name, value]) => `--CD${name}=${value}`),
  ]);
  layOutPrebuild(hostPlatform, join(buildDirectory, "Release", "nmos.node"), libraries);
}
