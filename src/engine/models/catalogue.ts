import entries from "./catalogue.json";
import type { ModelRole } from "../../shared/models";

/** A model NMOS knows where to download and how to check. */
export interface CatalogueEntry {
  id: string;
  name: string;
  roles: ModelRole[];
  /** Small enough to draft for the bigger models of its family. */
  draft: boolean;
  /** Only models that know code are ever recommended. */
  trainedForCode: boolean;
  /** Path of the file below the hub's address; the hub's name of the file may differ from `file`. */
  hubPath: string;
  /** Name in the models folder. */
  file: string;
  sizeBytes: number;
  /** Of the whole file, as published by the hub: the file's own (Git LFS) checksum, not that of the hub's storage. */
  sha256: string;
  license: string;
  licenseUrl: string;
  /** Models that may not be used commercially are never recommended. */
  commercialUse: boolean;
  /** Tokens it was trained for. */
  contextLength: number;
  /** Bytes of memory to run it with a usual context. */
  requiredBytes: number;
}

/** Every field of an entry with what it has to look like. */
const fields: Record<keyof CatalogueEntry, (value: unknown) => boolean> = {
  id: matches(/^[a-z0-9.-]+$/),
  name: matches(/\S/),
  roles: (value) =>
    Array.isArray(value) && value.length > 0 && value.every((role) => role === "fast" || role === "main"),
  draft: isBoolean,
  trainedForCode: isBoolean,
  hubPath: matches(/^[\w.-]+\/[\w.-]+\/resolve\/[\w.-]+\/[\w.-]+\.gguf$/),
  file: matches(/^[\w.-]+\.gguf$/),
  sizeBytes: isCount,
  sha256: matches(/^[0-9a-f]{64}$/),
  license: matches(/\S/),
  licenseUrl: matches(/^https:\/\//),
  commercialUse: isBoolean,
  contextLength: isCount,
  requiredBytes: isCount,
};

/** Checks data against the catalogue's form; throws an Error that names every entry and field that is wrong. */
export function parseCatalogue(data: readonly Record<string, unknown>[]): CatalogueEntry[] {
  const wrong = data.flatMap((entry, index) => {
    const name = typeof entry["id"] === "string" ? entry["id"] : `entry ${String(index)}`;
    const unknown = Object.keys(entry).filter((field) => !(field in fields));
    const bad = Object.entries(fields).filter(([field, holds]) => !holds(entry[field]));
    return [...unknown, ...bad.map(([field]) => field)].map((field) => `${name}.${field}`);
  });
  for (const field of ["id", "file"]) {
    const values = data.map((entry) => entry[field]);
    const twice = values.filter((value, index) => values.indexOf(value) !== index);
    wrong.push(...twice.map((value) => `${field} ${String(value)} twice`));
  }
  if (wrong.length > 0) throw new Error(`The model catalogue is wrong: ${wrong.join(", ")}.`);
  return data as unknown as CatalogueEntry[];
}

export const catalogue: readonly CatalogueEntry[] = parseCatalogue(entries);

const hub = "https://huggingface.co";

/** Where to download a model; `mirror` replaces the hub's address. */
export function downloadUrl({ hubPath }: Pick<CatalogueEntry, "hubPath">, mirror: string): string {
  return `${(mirror || hub).replace(/\/+$/, "")}/${hubPath}`;
}

function matches(pattern: RegExp): (value: unknown) => boolean {
  return (value) => typeof value === "string" && pattern.test(value);
}

function isBoolean(value: unknown): boolean {
  return typeof value === "boolean";
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) > 0;
}
