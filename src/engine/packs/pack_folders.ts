import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { sizeOf } from "../models/download_lock";
import { lockHolder } from "../process_lock";
import type { PackEntry } from "./pack_catalogue";
import { manifestName, parseManifest, type PackManifest } from "./pack_manifest";

export interface InstalledPack {
  entry: PackEntry;
  /** Absolute paths; the libraries in the order in which they are loaded. */
  folder: string;
  backend: string;
  libraries: string[];
}

const packFolder = /^[a-z0-9]+-[0-9a-f]{12}$/;
const unpackingFolder = /^[a-z0-9]+-[0-9a-f]{12}\.unpacking$/;

/** Name of a pack's folder: another version has another one. */
export function folderName({ id, archive }: PackEntry): string {
  return `${id}-${archive.sha256.slice(0, 12)}`;
}

/**
 * What lies in the folder of the packs. A pack counts only with its manifest and every file in full, so that there is never
 * half a one.
 */
export class PackFolders {
  constructor(
    private readonly directory: string,
    private readonly log: (line: string) => void,
  ) {}

  archiveOf({ archive }: PackEntry): string {
    return join(this.directory, archive.file);
  }

  folderOf(entry: PackEntry): string {
    return join(this.directory, folderName(entry));
  }

  /** The pack of exactly this version; null when it is not installed. */
  find(entry: PackEntry): InstalledPack | null {
    const folder = this.folderOf(entry);
    const manifest = manifestIn(folder);
    if (manifest?.id !== entry.id || manifest.platform !== entry.platform) return null;
    if (manifest.files.some(({ name, sizeBytes }) => sizeOf(join(folder, name)) !== sizeBytes)) return null;
    const { backend, libraries } = manifest;
    return { entry, folder, backend: join(folder, backend), libraries: libraries.map((name) => join(folder, name)) };
  }

  isOutdated(entry: PackEntry): boolean {
    return this.names().some((name) => isOf(entry.id, name) && name !== folderName(entry));
  }

  /** Every version. */
  remove(id: string): void {
    for (const name of this.names()) if (isOf(id, name)) this.discard(name);
  }

  /** Packs are alternatives, and one of another version fits no engine any more. */
  removeOthers(entry: PackEntry): void {
    for (const name of this.names()) if (packFolder.test(name) && name !== folderName(entry)) this.discard(name);
  }

  /** What an interrupted installation or a removal of libraries in use has left. */
  removeLeftovers(catalogue: readonly PackEntry[]): void {
    const installing = catalogue.some((entry) => lockHolder(`${this.archiveOf(entry)}.lock`) !== null);
    for (const name of this.names()) {
      const isLeft = packFolder.test(name)
        ? manifestIn(join(this.directory, name)) === null
        : unpackingFolder.test(name) && !installing;
      if (isLeft) this.discard(name);
    }
  }

  private names(): string[] {
    try {
      return readdirSync(this.directory);
    } catch {
      return [];
    }
  }

  /** Without its manifest a folder is no pack, so that goes first; Windows keeps libraries that are loaded. */
  private discard(name: string): void {
    const folder = join(this.directory, name);
    rmSync(join(folder, manifestName), { force: true });
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch (thrown) {
      this.log(`${folder} is removed with the next start: ${String(thrown)}`);
    }
  }
}

function isOf(id: string, name: string): boolean {
  return packFolder.test(name) && name.startsWith(`${id}-`);
}

/** Null when there is none that can be read. */
function manifestIn(folder: string): PackManifest | null {
  try {
    return parseManifest(readFileSync(join(folder, manifestName), "utf8"), folder);
  } catch {
    return null;
  }
}
