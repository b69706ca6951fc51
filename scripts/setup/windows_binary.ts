import { spawnSync } from "node:child_process";

/** What a DLL, or an addon, of Windows offers and what it needs before it can be loaded. */
export interface WindowsBinary {
  exports: string[];
  /** Names of the DLLs it imports from, as written in the file. Delayed imports are not among them. */
  imports: string[];
}

/** Reads a binary with mingw-w64's objdump. */
export function readWindowsBinary(path: string): WindowsBinary {
  const { status, stdout, stderr } = spawnSync("x86_64-w64-mingw32-objdump", ["-p", path], {
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`objdump cannot read ${path}: ${stderr}`);
  const [, exported = ""] = stdout.split("[Ordinal/Name Pointer] Table");
  return {
    // "[  12] llama_decode", in newer versions "[  12] +base[  13] 000c llama_decode"; an empty line ends the list.
    exports: [...(exported.split("\n\n")[0] ?? "").matchAll(/^\s*\[ *\d+\].*?(\S+)$/gm)].map((match) => match[1] ?? ""),
    imports: [...stdout.matchAll(/^\s*DLL Name: (\S+)$/gm)].map((match) => match[1] ?? ""),
  };
}
