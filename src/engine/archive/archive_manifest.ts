import { EngineError } from "../../shared/errors";
import type { Damaged } from "../zip_archive";

/** Name of the manifest in the archive. */
export const archiveManifestName = "nmos-offline.json";
export const archiveFormat = 1;

/** A file at the top of the archive. */
interface ArchivedFile {
  name: string;
  sizeBytes: number;
  sha256: string;
}

/** The VSIX for the target, in the version of the archive. */
export interface ArchivedExtension extends ArchivedFile {
  kind: "extension";
}

/** An engine pack or a model by its id in the catalogue. */
export interface ArchivedPart extends ArchivedFile {
  kind: "pack" | "model";
  id: string;
}

/** What an archive for machines without a network holds; `node scripts/run.mjs package --archive` writes it. */
export interface ArchiveManifest {
  format: typeof archiveFormat;
  /** Of NMOS: packs belong to exactly this one. */
  version: string;
  /** `<platform>-<arch>` of extension and packs. */
  target: string;
  extension: ArchivedExtension;
  parts: ArchivedPart[];
}

export const longestManifest = 1 << 20;

const fileName = /^\w[\w.-]*$/;

/**
 * Reads a manifest and checks its form. Throws `INVALID_ARGUMENT` for a format of another version of NMOS, and what
 * `damaged` makes of anything else; `path` is the archive's.
 */
export function parseArchiveManifest(text: string, path: string, damaged: Damaged): ArchiveManifest {
  const wrong = (what: string) => damaged(`its ${archiveManifestName} ${what}`);
  let manifest: Partial<ArchiveManifest> | null;
  try {
    manifest = JSON.parse(text) as Partial<ArchiveManifest> | null;
  } catch {
    throw wrong("is no JSON");
  }
  const { format, version, target, extension, parts } = manifest ?? {};
  if (format !== archiveFormat) {
    throw new EngineError(
      "INVALID_ARGUMENT",
      `${path} has the format ${JSON.stringify(format)}, but this version of NMOS reads ${String(archiveFormat)}. Take the VSIX out of it and install that (Extensions: Install from VSIX…), then install from the file again.`,
    );
  }
  if (!matches(version, /^\d+\.\d+\.\d+$/)) throw wrong("names no version such as 1.2.3");
  if (!matches(target, /^[a-z0-9]+-[a-z0-9]+$/)) throw wrong("names no target such as win32-x64");
  if (!isFile(extension, ["extension"])) throw wrong("names no extension with its size and checksum");
  if (!Array.isArray(parts) || !parts.every((part) => isFile(part, ["pack", "model"]) && matches(part.id, /./))) {
    throw wrong("lists a part without an id, a size or a checksum");
  }
  const names = [extension, ...parts].map(({ name }) => name);
  const outside = names.find((name) => !fileName.test(name));
  if (outside !== undefined) throw wrong(`names a file outside of the archive, ${JSON.stringify(outside)}`);
  if (new Set(names).size < names.length) throw wrong("names a file twice");
  const ids = parts.map(({ kind, id }) => `${kind} ${id}`);
  if (new Set(ids).size < ids.length) throw wrong("names a pack or a model twice");
  return { format, version, target, extension, parts };
}

function isFile<T extends ArchivedFile & { kind: string }>(value: T | undefined, kinds: readonly string[]): value is T {
  const { kind, name, sizeBytes, sha256 } = (value ?? {}) as Partial<ArchivedFile & { kind: string }>;
  const isSized = Number.isSafeInteger(sizeBytes) && Number(sizeBytes) > 0;
  return kinds.includes(kind ?? "") && typeof name === "string" && isSized && matches(sha256, /^[0-9a-f]{64}$/);
}

function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === "string" && pattern.test(value);
}
