import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { def_paths } from "node-api-headers";
import { runCommand } from "./run_command";
import { readWindowsBinary } from "./windows_binary";

/** The engine libraries that the core links; the backends are loaded at run time. */
const linked = /^(llama\.v.*|ggml\.v.*|ggml-base)\.dll$/;

/**
 * Functions of the C interface. C++ names differ between the compilers, and what else the DLLs export would be taken
 * for our own: llama's has a printf of another C run-time.
 */
const engineFunction = /^(llama|ggml|gguf)_\w+$/;

/**
 * Makes what the linker needs to use the DLLs in `libraries` and Node itself, in `target`: `<DLL>.lib` and `node.lib`.
 * Does nothing for those that are up to date.
 */
export async function makeImportLibraries(dlls: readonly string[], target: string): Promise<void> {
  mkdirSync(target, { recursive: true });
  const chosen = dlls.filter((path) => linked.test(basename(path)));
  if (chosen.length !== 3) {
    throw new Error(`Expected one llama, ggml and ggml-base DLL each, got ${chosen.join(", ") || "none of them"}.`);
  }
  for (const path of chosen) {
    const names = readWindowsBinary(path).exports.filter((name) => engineFunction.test(name));
    if (names.length === 0) throw new Error(`${path} exports no function whose name begins as those of llama.cpp do.`);
    const name = basename(path);
    await makeLibrary({ library: name, names, option: "--output-lib", target: join(target, basename(name, ".dll")) });
  }
  const names = readFileSync(def_paths.node_api_def, "utf8").match(/^(?:napi|node_api)_\w+$/gm) ?? [];
  // Delayed, see native/cmake/host_process_hook.cpp.
  await makeLibrary({ library: "node.exe", names, option: "--output-delaylib", target: join(target, "node") });
}

interface ImportLibrary {
  library: string;
  names: readonly string[];
  option: "--output-lib" | "--output-delaylib";
  /** Path without an ending. */
  target: string;
}

async function makeLibrary({ library, names, option, target }: ImportLibrary): Promise<void> {
  // Without quotes the dots of "llama.v0.4.0.dll" would end the name.
  const definition = [`LIBRARY "${library}"`, "EXPORTS", ...names, ""].join("\n");
  const definitionFile = `${target}.def`;
  const libraryFile = `${target}.lib`;
  const old = existsSync(definitionFile) ? readFileSync(definitionFile, "utf8") : undefined;
  if (old === definition && existsSync(libraryFile)) return;
  writeFileSync(definitionFile, definition);
  const scratch = `${target}.new`;
  await runCommand("x86_64-w64-mingw32-dlltool", ["--input-def", definitionFile, option, scratch]);
  renameSync(scratch, libraryFile);
}
