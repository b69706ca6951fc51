import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { ensureEngineLibraries, hostPlatform } from "./engine_libraries";
import { runCommand } from "./run_command";

/** Where cmake-js builds and ctest runs. Not `build` itself, where node-gyp-build would look for an addon first. */
export const buildDirectory = join("build", "native");

/** Where node-gyp-build finds the addon, together with the engine libraries. */
export const prebuildDirectory = join("prebuilds", hostPlatform);

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
  layOut(libraries);
}

/** Replaces files one by one and by renaming, because an engine host may be running from this folder. */
function layOut(libraries: string): void {
  mkdirSync(prebuildDirectory, { recursive: true });
  const wanted = new Map(readdirSync(libraries).map((file) => [file, join(libraries, file)]));
  wanted.set("nmos.node", join(buildDirectory, "Release", "nmos.node"));
  for (const [name, source] of wanted) replace(source, join(prebuildDirectory, name));
  for (const name of readdirSync(prebuildDirectory)) {
    if (!wanted.has(name)) rmSync(join(prebuildDirectory, name));
  }
}

function replace(source: string, target: string): void {
  const from = statSync(source);
  if (existsSync(target) && statSync(target).size === from.size && statSync(target).mtimeMs === from.mtimeMs) return;
  const scratch = `${target}.new`;
  cpSync(source, scratch, { preserveTimestamps: true });
  renameSync(scratch, target);
}
