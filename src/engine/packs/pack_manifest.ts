import { EngineError } from "../../shared/errors";

export const manifestName = "manifest.json";
export const manifestFormat = 1;

export interface PackFile {
  /** Name in the pack's folder; licences lie in `licenses/`. */
  name: string;
  sizeBytes: number;
  sha256: string;
}

/** First file of a pack: what is in it and how it is loaded. */
export interface PackManifest {
  format: typeof manifestFormat;
  id: string;
  platform: string;
  /** Name of the backend's file. */
  backend: string;
  /** Names of the libraries it needs, in the order in which they are loaded. */
  libraries: string[];
  files: PackFile[];
}

const fileName = /^(?:licenses\/)?\w[\w.-]*$/;
const longestManifest = 1 << 20;

/**
 * Reads a manifest and checks that every name stays in the pack's folder and that all that is to be loaded is there.
 * Throws `CHECKSUM_MISMATCH` with what is wrong; `source` says where it came from.
 */
export function parseManifest(text: string, source: string): PackManifest {
  if (text.length > longestManifest) throw wrong(source, "is too long");
  let manifest: Partial<PackManifest> | null;
  try {
    manifest = JSON.parse(text) as Partial<PackManifest> | null;
  } catch {
    throw wrong(source, "is no JSON");
  }
  const { format, id, platform, backend, libraries, files } = manifest ?? {};
  if (format !== manifestFormat) {
    throw wrong(source, `has the format ${JSON.stringify(format)}, expected ${String(manifestFormat)}`);
  }
  if (!isText(id) || !isText(platform) || !isText(backend)) throw wrong(source, "lacks its id, platform or backend");
  if (!Array.isArray(libraries) || !libraries.every(isText)) throw wrong(source, "names no libraries");
  if (!Array.isArray(files) || !files.every(isFile)) throw wrong(source, "lists files without a size or a checksum");
  for (const { name } of files) {
    if (!fileName.test(name)) throw wrong(source, `names a file outside of the pack, ${JSON.stringify(name)}`);
  }
  const names = files.map(({ name }) => name);
  if (new Set(names).size < names.length) throw wrong(source, "names a file twice");
  const missing = [backend, ...libraries].filter((name) => !names.includes(name));
  if (missing.length > 0) throw wrong(source, `lacks ${missing.join(", ")}, which is to be loaded`);
  return { format, id, platform, backend, libraries, files };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isFile(value: unknown): value is PackFile {
  const { name, sizeBytes, sha256 } = (value ?? {}) as Partial<PackFile>;
  return (
    isText(name) && Number.isSafeInteger(sizeBytes) && Number(sizeBytes) >= 0 && /^[0-9a-f]{64}$/.test(sha256 ?? "")
  );
}

function wrong(source: string, what: string): EngineError {
  return new EngineError("CHECKSUM_MISMATCH", `The manifest of ${source} ${what}. Download the pack again.`);
}
