/**
 * What the oldest supported system of each platform has (native/system_baseline.json), and whether what is shipped gets by
 * with that.
 */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import baselines from "../../native/system_baseline.json";
import windowsFunctions from "../../native/windows_functions.json";
import { readNativeBinary, type NativeBinary } from "./native_binary";

export interface SystemBaseline {
  /** In words, for people. */
  system: string;
  /** Libraries that are there; `*` stands for any letters. */
  libraries: string[];
  /** Further ones by the backend that needs them, which is left out where they are not there. */
  drivers: Record<string, string[]>;
  /** Of the package, those that libraries of engine packs find loaded. */
  package: string[];
  /** Newest versions that may be asked for. */
  versions: Record<string, string>;
}

/**
 * Functions that the oldest supported Windows is known to have, of those of its libraries whose names carry no version (API
 * sets do, and msvcrt.dll does not change): nothing else tells that one came later. By the library's name in small letters.
 */
const knownFunctions = new Map(
  Object.entries(windowsFunctions as Record<string, string[]>).map(([library, names]) => [library, new Set(names)]),
);

function unknownFunctions(library: string, names: readonly string[]): string[] {
  const known = knownFunctions.get(library.toLowerCase());
  return known ? names.filter((name) => !known.has(name)).map((name) => `${name} of ${library}`) : [];
}

export function baselineOf(platform: string): SystemBaseline {
  const baseline = (baselines as unknown as Record<string, SystemBaseline>)[platform];
  if (baseline) return baseline;
  throw new Error(
    `native/system_baseline.json says nothing of ${platform}, only of ${Object.keys(baselines).join(", ")}: add what its oldest supported system has.`,
  );
}

/** Throws, naming everything that a system of the baseline could not load, when there is something in the folder. */
export function checkAgainstBaseline(directory: string, platform: string): void {
  const files = readdirSync(directory).map((name) => ({ name, path: join(directory, name) }));
  check(directory, files, platform, baselineOf(platform));
}

/** The same for the libraries of an engine pack. */
export function checkPack(title: string, files: readonly { name: string; path: string }[], platform: string): void {
  check(title, files, platform, packBaselineOf(platform));
}

/** What libraries of an engine pack find there: what the system has, and what is loaded of the package. */
export function packBaselineOf(platform: string): SystemBaseline {
  const baseline = baselineOf(platform);
  return { ...baseline, libraries: [...baseline.libraries, ...baseline.package] };
}

function check(
  title: string,
  files: readonly { name: string; path: string }[],
  platform: string,
  baseline: SystemBaseline,
): void {
  const binaries = new Map(files.map(({ name, path }) => [name, readNativeBinary(path, platform)] as const));
  const problems = problemsOf(binaries, baseline);
  if (problems.length > 0) throw new Error(`${title} cannot be loaded everywhere:\n${problems.join("\n")}`);
}

/** One sentence for everything that is wrong. */
export function problemsOf(binaries: ReadonlyMap<string, NativeBinary>, baseline: SystemBaseline): string[] {
  const packaged = new Set([...binaries.keys()].map((name) => name.toLowerCase()));
  return [...binaries].flatMap(([file, { imports, searchPaths, versions, functions = [] }]) => {
    const known = [...baseline.libraries, ...(baseline.drivers[file] ?? [])].map(pattern);
    const isThere = (name: string): boolean =>
      known.some((one) => one.test(name)) || packaged.has(basename(name).toLowerCase());
    return [
      ...(imports.length === 0
        ? [`${file} needs no library at all, which cannot be: its tables were not understood.`]
        : []),
      ...imports
        .filter((name) => !isThere(name))
        .map((name) => `${file} needs ${name}, which is neither in the package nor part of ${baseline.system}.`),
      ...functions
        .flatMap(({ library, names }) => unknownFunctions(library, names))
        .map(
          (name) =>
            `${file} takes ${name}, of which it is not known that ${baseline.system} has it. Look in Microsoft's documentation: where it has, add it to native/windows_functions.json, else look for it when it is needed (GetProcAddress).`,
        ),
      ...versions
        .filter(({ of, version }) => isNewer(version, baseline.versions[of] ?? "0"))
        .map(
          ({ of, version }) =>
            `${file} needs ${of} ${version}; ${baseline.system} has ${baseline.versions[of] ?? "none"}.`,
        ),
      // Of our own; the engine libraries come as they are.
      ...(file === "nmos.node" ? searchPaths.filter((path) => !besideItself.includes(path)) : []).map(
        (path) =>
          `${file} looks for libraries in ${path || "the folder it is started in"}: expected only its own folder.`,
      ),
    ];
  });
}

const besideItself = ["$ORIGIN", "@loader_path"];

function isNewer(version: string, limit: string): boolean {
  const [parts, limits] = [version, limit].map((text) => text.split(".").map(Number));
  for (const [index, part] of (parts ?? []).entries()) {
    const most = limits?.[index] ?? 0;
    if (part !== most) return part > most;
  }
  return false;
}

function pattern(library: string): RegExp {
  const parts = library.split("*").map((part) => part.replace(/[.+]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "i");
}
