import { createHash } from "node:crypto";
import { cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import pins from "../../native/engine_libraries.json";
import { cacheDirectory } from "./cache";
import { fillOnce } from "./fill_once";
import { MissingTool } from "./missing_tool";
import { ensureNpmPackage, type PinnedPackage } from "./npm_package";
import { ensureWheel, type PinnedWheel } from "./python_wheel";
import { runCommand } from "./run_command";
import { checkOptimised } from "./unoptimised_code";

/** A package and the files of it that the product ships. */
type LibraryPackage = (PinnedPackage | PinnedWheel) & {
  directory: string;
  files: string[];
};

const platforms: Record<string, LibraryPackage[]> = pins.platforms;

export interface EngineLibraries {
  /** Folder with `llama.cpp`'s `include` and `ggml/include`. */
  sources: string;
  /**
   * Folder with libllama, libggml and the backends of one platform and, for Windows, what they need of the Visual C++
   * runtime; nothing else.
   */
  libraries: string;
}

/** `<platform>-<arch>` of this machine, as prebuildify and vsce name it. */
export const hostPlatform = `${process.platform}-${process.arch}`;

/**
 * Makes sure that the pinned engine libraries of a platform and the sources with their headers are in the cache:
 * fetched with `npm pack` or pip, checked against the pinned checksums, unpacked once.
 */
export async function ensureEngineLibraries(platform: string = hostPlatform): Promise<EngineLibraries> {
  const packages = platforms[platform];
  if (!packages) {
    throw new MissingTool(
      `There are no engine libraries for ${platform}; native/engine_libraries.json pins ${Object.keys(platforms).join(", ")}.`,
    );
  }
  return { sources: await ensureSources(), libraries: await ensureLibraries(platform, packages) };
}

async function ensureSources(): Promise<string> {
  const directory = join(cacheDirectory("engine"), `llama.cpp-${pins.llamaCpp.commit.slice(0, 12)}`);
  return fillOnce(directory, async (target) => {
    const unpacked = await ensureNpmPackage(pins.sources);
    await runCommand("git", ["clone", "--quiet", "--no-checkout", join(unpacked, pins.sources.bundle), target]);
    await runCommand("git", ["-c", "advice.detachedHead=false", "checkout", "--quiet", pins.llamaCpp.commit], {
      cwd: target,
    });
  });
}

async function ensureLibraries(platform: string, packages: LibraryPackage[]): Promise<string> {
  const pinned = createHash("sha256").update(JSON.stringify(packages)).digest("hex").slice(0, 12);
  return fillOnce(join(cacheDirectory("engine"), `${platform}-${pinned}`), async (target) => {
    for (const library of packages) {
      const isWheel = "wheel" in library;
      const unpacked = isWheel ? await ensureWheel(library) : await ensureNpmPackage(library);
      const source = join(unpacked, library.directory);
      const patterns = library.files.map(glob);
      const wanted = readdirSync(source).filter((file) => patterns.some((pattern) => pattern.test(file)));
      const empty = library.files.filter((_, index) => !wanted.some((file) => patterns[index]?.test(file)));
      if (empty.length > 0)
        throw new Error(
          `${isWheel ? library.wheel : library.package} holds no file named ${empty.join(", ")} in ${library.directory}`,
        );
      for (const file of wanted) {
        if (platform === "win32-x64") checkOptimised(join(source, file));
        cpSync(join(source, file), join(target, file));
      }
    }
  });
}

function glob(pattern: string): RegExp {
  return new RegExp(
    `^${pattern
      .split("*")
      .map((part) => part.replace(/[.+]/g, "\\$&"))
      .join(".*")}$`,
  );
}
