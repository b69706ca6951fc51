import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import pins from "../../native/engine_libraries.json";
import { cacheDirectory } from "./cache";
import { fillOnce } from "./fill_once";
import { MissingTool } from "./missing_tool";
import { runCommand } from "./run_command";

/** A package of the npm registry, pinned by its checksum, and the files of it that the product ships. */
interface LibraryPackage {
  package: string;
  integrity: string;
  directory: string;
  files: string[];
}

const platforms: Record<string, LibraryPackage[]> = pins.platforms;

export interface EngineLibraries {
  /** Folder with `llama.cpp`'s `include` and `ggml/include`. */
  sources: string;
  /** Folder with libllama, libggml and the backends of one platform, nothing else. */
  libraries: string;
}

/** `<platform>-<arch>` of this machine, as prebuildify and vsce name it. */
export const hostPlatform = `${process.platform}-${process.arch}`;

/**
 * Makes sure that the pinned engine libraries of a platform and the sources with their headers are in the cache:
 * fetched with `npm pack`, checked against the pinned SHA-512, unpacked once.
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
    const unpacked = await unpackPackage(pins.sources.package, pins.sources.integrity);
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
      const source = join(await unpackPackage(library.package, library.integrity), library.directory);
      const patterns = library.files.map(glob);
      const wanted = readdirSync(source).filter((file) => patterns.some((pattern) => pattern.test(file)));
      const empty = library.files.filter((_, index) => !wanted.some((file) => patterns[index]?.test(file)));
      if (empty.length > 0)
        throw new Error(`${library.package} holds no file named ${empty.join(", ")} in ${library.directory}`);
      for (const file of wanted) cpSync(join(source, file), join(target, file));
    }
  });
}

/** Fetches a package of the npm registry, checks and unpacks it, once; the folder is the package's root. */
export async function unpackPackage(spec: string, integrity: string): Promise<string> {
  const directory = join(cacheDirectory("packages"), spec.replaceAll("/", "+"));
  return fillOnce(directory, async (target) => {
    console.log(`fetching ${spec}`);
    await runCommand("npm", ["pack", spec, "--silent", "--pack-destination", target]);
    const [tarball] = readdirSync(target);
    if (!tarball) throw new Error(`npm pack ${spec} left no file`);
    const path = join(target, tarball);
    const actual = `sha512-${createHash("sha512").update(readFileSync(path)).digest("base64")}`;
    if (actual !== integrity) {
      throw new Error(`${spec} has the checksum ${actual}; the pinned one is ${integrity}. Nothing was unpacked.`);
    }
    await runCommand("tar", ["-xzf", tarball, "--strip-components=1"], { cwd: target });
    rmSync(path);
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
