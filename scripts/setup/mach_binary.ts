import { readFileSync } from "node:fs";
import type { NativeBinary } from "./native_binary";

/** Constants of Apple's Mach-O format (loader.h). */
const magic64 = 0xfeedfacf;
const [loadLibrary, loadWeakLibrary, reexportLibrary, searchPath] = [0xc, 0x80000018, 0x8000001f, 0x8000001c];
const [buildVersion, minimumMacos] = [0x32, 0x24];

/** Reads the load commands of a 64-bit library of macOS, on any system. */
export function readMachBinary(path: string): NativeBinary {
  const bytes = readFileSync(path);
  if (bytes.readUInt32LE(0) !== magic64) {
    throw new Error(`Expected a 64-bit Mach-O file for one processor at ${path}; its header says something else.`);
  }
  const binary: NativeBinary = { imports: [], searchPaths: [], versions: [] };
  let at = 32;
  for (let count = bytes.readUInt32LE(16); count > 0; --count, at += bytes.readUInt32LE(at + 4)) {
    const command = bytes.readUInt32LE(at);
    const text = () => {
      const begin = at + bytes.readUInt32LE(at + 8);
      return bytes.toString("latin1", begin, bytes.indexOf(0, begin));
    };
    if ([loadLibrary, loadWeakLibrary, reexportLibrary].includes(command)) binary.imports.push(text());
    if (command === searchPath) binary.searchPaths.push(text());
    if (command === buildVersion || command === minimumMacos) {
      // Two bytes of the major version, one of the minor one.
      const version = bytes.readUInt32LE(at + (command === buildVersion ? 12 : 8));
      binary.versions.push({ of: "macOS", version: `${String(version >> 16)}.${String((version >> 8) & 0xff)}` });
    }
  }
  return binary;
}
