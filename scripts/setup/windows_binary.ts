import { readFileSync } from "node:fs";

/** What a 64-bit DLL, or an addon, of Windows offers and what it needs before it can be loaded. */
export interface WindowsBinary {
  exports: string[];
  /** Names of the DLLs it imports from, as written in the file. Delayed imports are not among them. */
  imports: string[];
  /** What it takes from each of them; `#12` where it asks for the twelfth function and not for a name. */
  functions: { library: string; names: string[] }[];
  /** The oldest one that loads it, such as `10.0`. */
  windowsVersion: string;
  /** Machine code. */
  code: Buffer;
}

/** Magic number of the optional header of 64-bit images. */
const pe32Plus = 0x20b;

/** Flag of a section with machine code. */
const codeSection = 0x20;

/** Reads the tables of a PE file, on any system. Names of fields are those of Microsoft's PE format. */
export function readWindowsBinary(path: string): WindowsBinary {
  const bytes = readFileSync(path);
  const header = bytes.readUInt32LE(0x3c);
  const optionalHeader = header + 24;
  if (bytes.toString("latin1", header, header + 4) !== "PE\0\0" || bytes.readUInt16LE(optionalHeader) !== pe32Plus) {
    throw new Error(`Expected a 64-bit DLL of Windows at ${path}; its header says something else.`);
  }
  const sectionCount = bytes.readUInt16LE(header + 6);
  const sectionTable = optionalHeader + bytes.readUInt16LE(header + 20);
  const sections = Array.from({ length: sectionCount }, (_, index) => {
    const entry = sectionTable + 40 * index;
    return {
      address: bytes.readUInt32LE(entry + 12),
      size: bytes.readUInt32LE(entry + 16),
      offset: bytes.readUInt32LE(entry + 20),
      isCode: (bytes.readUInt32LE(entry + 36) & codeSection) !== 0,
    };
  });

  /** Offset in the file of what is loaded at a relative address. */
  function offsetOf(address: number): number {
    const section = sections.find(
      (candidate) => address >= candidate.address && address < candidate.address + candidate.size,
    );
    if (!section) throw new Error(`${path} points to ${address}, where no section is: the file is damaged.`);
    return section.offset + address - section.address;
  }

  function textAt(address: number): string {
    const begin = offsetOf(address);
    return bytes.toString("latin1", begin, bytes.indexOf(0, begin));
  }

  /** Relative address of the table with this number, 0 when there is none. */
  function directory(index: number): number {
    return bytes.readUInt32LE(optionalHeader + 112 + 8 * index);
  }

  function exportedNames(table: number): string[] {
    const count = bytes.readUInt32LE(offsetOf(table) + 24);
    if (count === 0) return [];
    const names = offsetOf(bytes.readUInt32LE(offsetOf(table) + 32));
    return Array.from({ length: count }, (_, index) => textAt(bytes.readUInt32LE(names + 4 * index)));
  }

  /** The tables of libraries and of functions end with an entry of zeros. */
  function importedFunctions(table: number): WindowsBinary["functions"] {
    const libraries: WindowsBinary["functions"] = [];
    for (let entry = offsetOf(table); bytes.readUInt32LE(entry + 12) !== 0; entry += 20) {
      const names: string[] = [];
      // Some linkers write the table of names only where the addresses will be.
      const functions = bytes.readUInt32LE(entry) || bytes.readUInt32LE(entry + 16);
      for (let at = offsetOf(functions); bytes.readBigUInt64LE(at) !== 0n; at += 8) names.push(importedName(at));
      libraries.push({ library: textAt(bytes.readUInt32LE(entry + 12)), names });
    }
    return libraries;
  }

  function importedName(at: number): string {
    const [low, high] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)];
    const isOrdinal = high >= 0x80000000;
    return isOrdinal ? `#${String(low & 0xffff)}` : textAt(low + 2);
  }

  const [exports, imports] = [directory(0), directory(1)];
  const functions = imports === 0 ? [] : importedFunctions(imports);
  return {
    exports: exports === 0 ? [] : exportedNames(exports),
    imports: functions.map(({ library }) => library),
    functions,
    windowsVersion: [48, 50].map((field) => bytes.readUInt16LE(optionalHeader + field)).join("."),
    code: Buffer.concat(
      sections.filter(({ isCode }) => isCode).map(({ offset, size }) => bytes.subarray(offset, offset + size)),
    ),
  };
}
