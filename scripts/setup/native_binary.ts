import { readElfBinary } from "./elf_binary";
import { readMachBinary } from "./mach_binary";
import { readWindowsBinary } from "./windows_binary";

/** What a library, or an addon, needs before it can be loaded. */
export interface NativeBinary {
  /** Names or paths of other libraries, as written in the file. Those that are loaded later are not among them. */
  imports: string[];
  /** Where the system looks for them beside its own folders. */
  searchPaths: string[];
  /** The oldest versions of parts of the system that will do; of one part there may be several. */
  versions: { of: string; version: string }[];
  /** What it takes from each library, where its format tells; elsewhere versions do. */
  functions?: { library: string; names: string[] }[];
}

/** Reads a library of the platform, `<platform>-<arch>`, on any system. */
export function readNativeBinary(path: string, platform: string): NativeBinary {
  if (platform.startsWith("linux-")) return readElfBinary(path);
  if (platform.startsWith("darwin-")) return readMachBinary(path);
  const { imports, functions, windowsVersion } = readWindowsBinary(path);
  return { imports, functions, searchPaths: [], versions: [{ of: "Windows", version: windowsVersion }] };
}
