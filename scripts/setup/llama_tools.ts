import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import pins from "../../native/engine_libraries.json";
import { cacheDirectory } from "./cache";
import { ensureEngineLibraries } from "./engine_libraries";
import { fillOnce } from "./fill_once";
import { findCommand } from "./find_command";
import { MissingTool } from "./missing_tool";
import { runCommand } from "./run_command";

const project = fileURLToPath(new URL("../../bench/peers/llama_tools_build/", import.meta.url));

/** Minutes that building a tool takes on two cores. */
const minutes = { "llama-bench": 3, "llama-server": 10 } as const;

/**
 * Builds a tool of llama.cpp from the pinned sources, once, and returns the program's path. It uses the very engine
 * libraries that NMOS ships, of which copies lie beside it, those for the processor only. Throws MissingTool where the
 * C++ of the two cannot be linked or there is no CMake.
 */
export async function ensureLlamaTool(tool: keyof typeof minutes): Promise<string> {
  if (process.platform === "win32") {
    throw new MissingTool(`${tool} is built on Linux and macOS only: the Windows libraries come without import files.`);
  }
  if (!findCommand("cmake")) throw new MissingTool(`cmake is needed to build ${tool}.`);
  const { sources, libraries } = await ensureEngineLibraries();
  const { version, commit } = pins.llamaCpp;
  const key = createHash("sha256")
    .update([commit, basename(libraries), readFileSync(join(project, "CMakeLists.txt"), "utf8")].join("\n"))
    .digest("hex")
    .slice(0, 12);
  const directory = await fillOnce(join(cacheDirectory("bench"), `${tool}-${key}`), async (target) => {
    console.log(`Building ${tool} (about ${minutes[tool]} minutes on two cores) ...`);
    const build = mkdtempSync(join(tmpdir(), `nmos-${tool}-`));
    try {
      const defines = {
        CMAKE_BUILD_TYPE: "Release",
        LLAMA_SOURCES: sources,
        LLAMA_VERSION_BASE: version.replace(/^v/, ""),
        LLAMA_COMMIT: commit.slice(0, 12),
        ENGINE_LIBRARIES: libraries,
      };
      const given = Object.entries(defines).map(([name, value]) => `-D${name}=${value}`);
      const generator = findCommand("ninja") ? ["-G", "Ninja"] : [];
      await runCommand("cmake", ["-S", project, "-B", build, ...generator, ...given]);
      await runCommand("cmake", ["--build", build, "--target", tool, "--parallel", String(availableParallelism())]);
      cpSync(join(build, tool), join(target, tool));
    } finally {
      rmSync(build, { recursive: true, force: true });
    }
    const wanted = /^lib(llama\.|ggml\.|ggml-base\.|ggml-cpu)/;
    for (const file of readdirSync(libraries).filter((name) => wanted.test(name))) {
      cpSync(join(libraries, file), join(target, file));
    }
  });
  return join(directory, tool);
}
