import { readFileSync } from "node:fs";
import type { NativeBinary } from "./native_binary";

/** Constants of the ELF specification and of glibc's symbol versions. */
const [dynamicSection, versionNeedSection] = [6, 0x6ffffffe];
const [neededTag, pathTag, runPathTag] = [1n, 15n, 29n];

/** Reads the tables of a 64-bit shared library of Linux, on any system. Names of fields are those of the ELF format. */
export function readElfBinary(path: string): NativeBinary {
  const bytes = readFileSync(path);
  const isElf64 = bytes.toString("latin1", 0, 4) === "\x7fELF" && bytes[4] === 2 && bytes[5] === 1;
  if (!isElf64)
    throw new Error(`Expected a 64-bit, little-endian ELF file at ${path}; its header says something else.`);
  const sectionTable = Number(bytes.readBigUInt64LE(0x28));
  const sections = Array.from({ length: bytes.readUInt16LE(0x3c) }, (_, index) => {
    const entry = sectionTable + index * bytes.readUInt16LE(0x3a);
    return {
      type: bytes.readUInt32LE(entry + 4),
      offset: Number(bytes.readBigUInt64LE(entry + 24)),
      size: Number(bytes.readBigUInt64LE(entry + 32)),
      /** Of the section with the names. */
      link: bytes.readUInt32LE(entry + 40),
      /** Number of entries, where they differ in size. */
      info: bytes.readUInt32LE(entry + 44),
    };
  });

  function sectionOf(type: number): { offset: number; size: number; info: number; nameAt: (at: number) => string } {
    const section = sections.find((candidate) => candidate.type === type);
    const names = section && sections[section.link];
    if (!section || !names) throw new Error(`${path} has no section of type ${type}: expected a shared library.`);
    const nameAt = (at: number) => bytes.toString("latin1", names.offset + at, bytes.indexOf(0, names.offset + at));
    return { ...section, nameAt };
  }

  const dynamic = sectionOf(dynamicSection);
  const entries = Array.from({ length: dynamic.size / 16 }, (_, index) => {
    const at = dynamic.offset + 16 * index;
    return { tag: bytes.readBigInt64LE(at), value: Number(bytes.readBigUInt64LE(at + 8)) };
  });
  const texts = (...tags: bigint[]) =>
    entries.filter(({ tag }) => tags.includes(tag)).map(({ value }) => dynamic.nameAt(value));

  /**
   * Such as `GLIBC_2.34`: a list for every library, which are linked by distances in bytes. Libraries of NVIDIA have one version
   * only, called as the library is, which says nothing beyond its name.
   */
  function neededVersions(): string[] {
    const section = sectionOf(versionNeedSection);
    const names: string[] = [];
    for (let file = 0, at = section.offset; file < section.info; ++file, at += bytes.readUInt32LE(at + 12)) {
      const library = section.nameAt(bytes.readUInt32LE(at + 4));
      let need = at + bytes.readUInt32LE(at + 8);
      for (let count = bytes.readUInt16LE(at + 2); count > 0; --count, need += bytes.readUInt32LE(need + 12)) {
        const name = section.nameAt(bytes.readUInt32LE(need + 8));
        if (name !== library) names.push(name);
      }
    }
    return names;
  }

  return {
    imports: texts(neededTag),
    searchPaths: texts(pathTag, runPathTag).flatMap((list) => list.split(":")),
    versions: neededVersions().map((text) => parseSymbolVersion(text, path)),
  };
}

/** Versions that say by a name what a release has; the number is that of the release. */
const namedVersions: Partial<Record<string, string>> = { GLIBC_ABI_DT_RELR: "2.36" };

/** Of the form `GLIBC_2.34`. Throws for what it does not understand, which a system may lack. */
export function parseSymbolVersion(text: string, path: string): { of: string; version: string } {
  const match = /^([A-Z]+)_(?:(\d[\d.]*)|ABI_\w+)$/.exec(text);
  const version = match?.[2] ?? namedVersions[text];
  if (match?.[1] && version !== undefined) return { of: match[1], version };
  throw new Error(
    `${path} needs the symbol version ${text}; expected one such as GLIBC_2.34. Find out which release brings it, and add it to namedVersions in scripts/setup/elf_binary.ts.`,
  );
}
