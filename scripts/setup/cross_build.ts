import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { include_dir } from "node-api-headers";
import { buildWithCmake } from "./cmake";
import { installDebianPackages } from "./debian_packages";
import { ensureEngineLibraries, hostPlatform } from "./engine_libraries";
import { findCommand } from "./find_command";
import { makeImportLibraries } from "./import_libraries";
import { MissingTool } from "./missing_tool";
import { makePrebuild } from "./prebuild";
import { readWindowsBinary } from "./windows_binary";

export const windowsPlatform = "win32-x64";

/** A platform whose addon is built on another one. */
interface CrossTarget {
  /** In words. */
  system: string;
  compiler: string;
  /** Debian's, with the compiler. */
  packages: string[];
  /** Of CMake, below native/cmake. */
  toolchain: string;
}

const targets: Partial<Record<string, CrossTarget>> = {
  [windowsPlatform]: {
    system: "Windows",
    compiler: "x86_64-w64-mingw32-g++-posix",
    packages: ["g++-mingw-w64-x86-64-posix"],
    toolchain: "mingw_w64.cmake",
  },
  "linux-arm64": {
    system: "Linux on arm64",
    compiler: "aarch64-linux-gnu-g++",
    packages: ["g++-aarch64-linux-gnu"],
    toolchain: "aarch64_linux.cmake",
  },
};

/** What Node looks for in an addon. */
const entryPoints = ["napi_register_module_v1", "node_api_module_get_api_version_v1"];

/** Whether the addon of the platform can be built here, given the compiler. */
export function isCrossTarget(platform: string): boolean {
  return platform in targets && process.platform !== "win32" && platform !== hostPlatform;
}

/**
 * Builds the addon for another platform than this one and lays it out below `prebuilds/`. Builds only what changed. Throws
 * MissingTool where there is no compiler for it.
 */
export async function crossBuild(platform: string): Promise<void> {
  await ensureCompiler(targetOf(platform));
  await makePrebuild(platform);
}

/** The part of it that compiles and checks; resolves with the path of the addon. */
export async function crossBuildAddon(platform: string): Promise<string> {
  const buildDirectory = join("build", platform);
  const addon = join(buildDirectory, "nmos.node");
  const { defines, libraries } = await prepare(platform, buildDirectory);
  await buildWithCmake(buildDirectory, defines, "--target", "nmos_addon");
  if (platform === windowsPlatform) checkWindowsAddon(addon, readdirSync(libraries));
  return addon;
}

/** Builds the core's own tests for Windows, to run under Wine. Throws as `crossBuild`. */
export async function crossBuildCoreTests(): Promise<{ program: string; libraries: string }> {
  await ensureCompiler(targetOf(windowsPlatform));
  // That of the addon: they share the core.
  const buildDirectory = join("build", windowsPlatform);
  const { defines, libraries } = await prepare(windowsPlatform, buildDirectory);
  await buildWithCmake(buildDirectory, defines, "--target", "nmos_core_tests");
  return { program: resolve(buildDirectory, "native", "tests", "nmos_core_tests.exe"), libraries };
}

/** What CMake has to be told, and the folder of the engine libraries for the platform. */
async function prepare(platform: string, buildDirectory: string) {
  const { sources, libraries } = await ensureEngineLibraries(platform);
  const importLibraries = join(buildDirectory, "import");
  if (platform === windowsPlatform) await makeImportLibraries(libraries, importLibraries);
  const defines = {
    CMAKE_BUILD_TYPE: "Release",
    CMAKE_TOOLCHAIN_FILE: resolve("native/cmake", targetOf(platform).toolchain),
    NMOS_LLAMA_SOURCES: sources,
    NMOS_LIBRARIES: libraries,
    NMOS_IMPORT_LIBS: resolve(importLibraries),
    NMOS_NAPI_INCLUDE: include_dir,
  };
  return { defines, libraries };
}

function targetOf(platform: string): CrossTarget {
  const target = targets[platform];
  if (target && isCrossTarget(platform)) return target;
  throw new MissingTool(
    `The addon for ${platform} cannot be built on ${hostPlatform}: build it on such a machine with "npm test -- --only native".`,
  );
}

async function ensureCompiler({ system, compiler, packages }: CrossTarget): Promise<void> {
  const purpose = `the cross build for ${system}`;
  if (!findCommand("cmake")) throw new MissingTool(`CMake is needed for ${purpose}: install it.`);
  if (findCommand(compiler)) return;
  await installDebianPackages(packages, purpose);
  if (!findCommand(compiler))
    throw new MissingTool(`${packages.join(" ")} installed, but ${compiler} is not on the PATH.`);
}

/** That it can be loaded, too, is checked where everything that is packaged is. */
function checkWindowsAddon(addon: string, engineLibraries: readonly string[]): void {
  const { exports, imports } = readWindowsBinary(addon);
  const missing = entryPoints.filter((name) => !exports.includes(name));
  if (missing.length > 0) throw new Error(`${addon} exports ${exports.join(", ")}, but not ${missing.join(", ")}.`);
  if (!engineLibraries.some((name) => imports.includes(name))) {
    throw new Error(`${addon} imports only ${imports.join(", ")}: expected the engine libraries as well.`);
  }
}
