import entries from "./catalogue.json";
import type { ModelRole } from "../../shared/protocol";

/** A model NMOS knows where to download and how to check. */
export interface CatalogueEntry {
  id: string;
  name: string;
  roles: ModelRole[];
  /** Small enough to draft for the bigger models of its family. */
  draft: boolean;
  /** Owner and name on the model hub. */
  repository: string;
  /** Name in the repository and on disk. */
  file: string;
  /** Exact when `sha256` is known, else close to what the hub will tell. */
  sizeBytes: number;
  /** Of the whole file. Null: the hub names the checksum with the download, and a file without one is refused. */
  sha256: string | null;
  license: string;
  licenseUrl: string;
  /** Models that may not be used commercially are never recommended. */
  commercialUse: boolean;
  /** Tokens it was trained for. */
  contextLength: number;
  /** Bytes of memory to run it with a usual context. */
  requiredBytes: number;
}

export const catalogue: readonly CatalogueEntry[] = entries as CatalogueEntry[];

const hub = "https://huggingface.co";

/** Where to download a model; `mirror` replaces the hub's address. */
export function downloadUrl({ repository, file }: CatalogueEntry, mirror: string): string {
  return `${(mirror || hub).replace(/\/+$/, "")}/${repository}/resolve/main/${file}`;
}
