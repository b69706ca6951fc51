/**
 * What a linker needs to use the DLLs of the engine and Node's own functions: for each a module definition `NAME.def`,
 * and an import library `NAME.lib` made from it. With MSVC, CMake makes the libraries, for it knows where the tool is.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { def_paths } from "node-api-headers";
import { runCommand } from "./run_command";
import { readWindowsBinary } from "./windows_binary";

/** The engine libraries that the core links; the backends are loaded at run time. */
const linked = /^((?:llama|ggml)(?:\.\w+)?\.v.*|ggml-base)\.dll$/;

/**
 * Functions of the C interface. C++ names differ between the compilers, and what else the DLLs export would be taken
 * for our own: llama's has a printf of another C run-time.
 */
const engineFunction = /^(llama|ggml|gguf)_\w+$/;

/** Writes the definitions of the engine libraries in `libraries` to `target`; resolves with their names. */
export function writeEngineDefinitions(libraries: string, target: string): string[] {
  const dlls = readdirSync(libraries).filter((name) => linked.test(name));
  if (dlls.length !== 3) {
    throw new Error(`Expected llama, ggml and ggml-base as DLLs in ${libraries}, got ${dlls.join(", ") || "none"}.`);
  }
  return dlls.map((dll) => {
    const path = join(libraries, dll);
    const names = readWindowsBinary(path).exports.filter((name) => engineFunction.test(name));
    if (names.length === 0) throw new Error(`${path} exports no function whose name begins as those of llama.cpp do.`);
    return writeDefinition(target, basename(dll, ".dll"), dll, names);
  });
}

/** Makes the import libraries of the engine and of Node with mingw-w64. */
export async function makeImportLibraries(libraries: string, target: string): Promise<void> {
  for (const name of writeEngineDefinitions(libraries, target)) await makeLibrary(target, name, "--output-lib");
  const functions = readFileSync(def_paths.node_api_def, "utf8").match(/^(?:napi|node_api)_\w+$/gm) ?? [];
  // Delayed, see native/cmake/host_process_hook.cpp.
  await makeLibrary(target, writeDefinition(target, "node", "node.exe", functions), "--output-delaylib");
}

function writeDefinition(target: string, name: string, library: string, functions: readonly string[]): string {
  // Without quotes the dots of "llama.v0.4.0.dll" would end the name.
  const text = [`LIBRARY "${library}"`, "EXPORTS", ...functions, ""].join("\n");
  const file = join(target, `${name}.def`);
  mkdirSync(target, { recursive: true });
  if (!existsSync(file) || readFileSync(file, "utf8") !== text) {
    writeFileSync(file, text);
    rmSync(join(target, `${name}.lib`), { force: true });
  }
  return name;
}

async function makeLibrary(target: string, name: string, option: string): Promise<void> {
  const file = join(target, name);
  if (existsSync(`${file}.lib`)) return;
  await runCommand("x86_64-w64-mingw32-dlltool", ["--input-def", `${file}.def`, option, `${file}.new`]);
  renameSync(`${file}.new`, `${file}.lib`);
}
