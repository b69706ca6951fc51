import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { include_dir } from "node-api-headers";
import { buildWithCmake } from "./cmake";
import { installDebianPackages } from "./debian_packages";
import { ensureEngineLibraries } from "./engine_libraries";
import { findCommand } from "./find_command";
import { makeImportLibraries } from "./import_libraries";
import { MissingTool } from "./missing_tool";
import { makePrebuild } from "./prebuild";
import { readWindowsBinary } from "./windows_binary";

export const windowsPlatform = "win32-x64";

const buildDirectory = join("build", windowsPlatform);
const addon = join(buildDirectory, "nmos.node");

/** What Node looks for in an addon. */
const entryPoints = ["napi_register_module_v1", "node_api_module_get_api_version_v1"];

/**
 * Builds the addon for Windows on another system, checks what it exports, and lays it out as
 * `prebuilds/win32-x64/`. Builds only what changed. Throws MissingTool where there is no compiler for it.
 */
export async function crossBuildForWindows(): Promise<void> {
  await ensureCompiler();
  await makePrebuild(windowsPlatform);
}

/** The part of it that compiles and checks; resolves with the path of the addon. */
export async function crossBuildAddon(): Promise<string> {
  const { sources, libraries } = await ensureEngineLibraries(windowsPlatform);
  const importLibraries = join(buildDirectory, "import");
  await makeImportLibraries(libraries, importLibraries);
  const defines = {
    CMAKE_BUILD_TYPE: "Release",
    CMAKE_TOOLCHAIN_FILE: resolve("native/cmake/mingw_w64.cmake"),
    NMOS_LLAMA_SOURCES: sources,
    NMOS_LIBRARIES: libraries,
    NMOS_IMPORT_LIBS: resolve(importLibraries),
    NMOS_NAPI_INCLUDE: include_dir,
  };
  await buildWithCmake(buildDirectory, defines);
  checkAddon(readdirSync(libraries));
  return addon;
}

async function ensureCompiler(): Promise<void> {
  if (process.platform === "win32") throw new MissingTool("This is Windows: the addon is built here without crossing.");
  if (!findCommand("cmake")) throw new MissingTool("CMake is needed for the cross build for Windows: install it.");
  const compiler = "x86_64-w64-mingw32-g++-posix";
  if (findCommand(compiler)) return;
  await installDebianPackages(["g++-mingw-w64-x86-64-posix"], "the cross build for Windows");
  if (!findCommand(compiler)) throw new MissingTool(`mingw-w64 was installed, but ${compiler} is not on the PATH.`);
}

/** That it can be loaded, too, is checked where everything that is packaged is. */
function checkAddon(engineLibraries: readonly string[]): void {
  const { exports, imports } = readWindowsBinary(addon);
  const missing = entryPoints.filter((name) => !exports.includes(name));
  if (missing.length > 0) throw new Error(`${addon} exports ${exports.join(", ")}, but not ${missing.join(", ")}.`);
  if (!engineLibraries.some((name) => imports.includes(name))) {
    throw new Error(`${addon} imports only ${imports.join(", ")}: expected the engine libraries as well.`);
  }
}
