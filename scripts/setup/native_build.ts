import { join, resolve } from "node:path";
import { ensureEngineLibraries, hostPlatform } from "./engine_libraries";
import { writeEngineDefinitions } from "./import_libraries";
import { makePrebuild, prebuildFolder } from "./prebuild";
import { runCommand } from "./run_command";

/** Where cmake-js builds and ctest runs. Not `build` itself, where node-gyp-build would look for an addon first. */
export const buildDirectory = join("build", "native");

/** Where node-gyp-build finds the addon, together with the engine libraries. */
export const prebuildDirectory = prebuildFolder(hostPlatform);

/** Builds the addon for this machine and lays it out. Builds only what changed. */
export async function buildNative(): Promise<void> {
  await makePrebuild(hostPlatform);
}

/** The part of it that compiles; resolves with the path of the addon. */
export async function buildAddon(): Promise<string> {
  await compile("--target", "nmos_addon");
  return join(buildDirectory, "Release", "nmos.node");
}

/** Builds the core's own tests for ctest, which nothing but the test command needs. */
export async function buildCoreTests(): Promise<void> {
  await compile();
}

/** Builds the programs that benchmarks run; resolves with their paths. */
export async function buildBenchPrograms(): Promise<{
  draftingSteps: string;
  healingSteps: string;
  passTimes: string;
  speculativeDecoding: string;
  syntheticModel: string;
}> {
  await compile();
  const program = (name: string): string =>
    process.platform === "win32" ? resolve(buildDirectory, "Release", `${name}.exe`) : resolve(buildDirectory, name);
  return {
    draftingSteps: program("drafting_steps"),
    healingSteps: program("healing_steps"),
    passTimes: program("pass_times"),
    speculativeDecoding: program("speculative_decoding"),
    syntheticModel: program("synthetic_model"),
  };
}

async function compile(...options: string[]): Promise<void> {
  const { sources, libraries } = await ensureEngineLibraries();
  const defines: Record<string, string> = { NMOS_LLAMA_SOURCES: sources, NMOS_LIBRARIES: libraries };
  if (process.platform === "win32") {
    const definitions = resolve(buildDirectory, "import");
    writeEngineDefinitions(libraries, definitions);
    defines["NMOS_IMPORT_LIBS"] = definitions;
  }
  const settings = Object.entries(defines).map(([name, value]) => `--CD${name}=${value}`);
  const output = ["--out", buildDirectory, "--config", "Release", "--log-level", "warn"];
  await runCommand("npx", ["cmake-js", "build", ...output, ...options, ...settings]);
}
