import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "../../shared/errors";
import { sizeOf } from "../models/download_lock";
import { lockHolder, tryProcessLock } from "../process_lock";
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

  /** This process loads the pack: until it ends, no other version of NMOS removes it as an old one. */
  use({ folder }: InstalledPack): void {
    try {
      tryProcessLock(useMark(folder));
    } catch (thrown) {
      this.log(`${folder} cannot be marked as used: ${String(thrown)}`);
    }
  }

  /**
   * Makes room for a pack: removes what is left of it where it is to lie. Fails with `DOWNLOAD_FAILED` while libraries in
   * there are loaded, which Windows does not give up.
   */
  async clear(entry: PackEntry): Promise<void> {
    const folder = this.folderOf(entry);
    try {
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    } catch (thrown) {
      throw new EngineError(
        "DOWNLOAD_FAILED",
        `${folder} cannot be removed (${codeOf(thrown)}): a running engine may still use what was installed there. Restart the engine first, then install ${entry.title} again.`,
        { cause: thrown },
      );
    }
  }

  /** Every version. Throws the system's error when a pack would still count as installed. */
  remove(id: string): void {
    for (const name of this.names()) if (isOf(id, name)) this.discard(name);
  }

  /** Packs are alternatives, and one of another version fits no engine but that of another version that runs now. */
  removeOthers(entry: PackEntry): void {
    for (const name of this.names()) {
      if (!packFolder.test(name) || name === folderName(entry)) continue;
      const user = lockHolder(useMark(join(this.directory, name)));
      if (user === null || user === process.pid) this.tidy(name);
      else this.log(`${name} stays: process ${String(user)} uses it`);
    }
  }

  /** What an interrupted installation or a removal of libraries in use has left. Never throws. */
  removeLeftovers(catalogue: readonly PackEntry[]): void {
    const installing = catalogue.some((entry) => lockHolder(`${this.archiveOf(entry)}.lock`) !== null);
    for (const name of this.names()) {
      const isLeft = packFolder.test(name)
        ? lacksManifest(join(this.directory, name))
        : unpackingFolder.test(name) && !installing;
      if (isLeft) this.tidy(name);
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
      rmSync(useMark(folder), { force: true });
    } catch (thrown) {
      this.log(`${folder} is removed with the next start: ${String(thrown)}`);
    }
  }

  /** Nobody waits for the room. */
  private tidy(name: string): void {
    try {
      this.discard(name);
    } catch (thrown) {
      this.log(`${name} cannot be removed: ${String(thrown)}`);
    }
  }
}

/** Lock of a process that has a pack's libraries loaded. */
function useMark(folder: string): string {
  return `${folder}.used`;
}

function codeOf(thrown: unknown): string {
  return (thrown as NodeJS.ErrnoException | null)?.code ?? String(thrown);
}

function isOf(id: string, name: string): boolean {
  return packFolder.test(name) && name.startsWith(`${id}-`);
}

/** One that cannot be read, or is of a newer format, is not missing: the pack may be good for somebody. */
function lacksManifest(folder: string): boolean {
  try {
    return statSync(join(folder, manifestName), { throwIfNoEntry: false }) === undefined;
  } catch {
    return false;
  }
}

/** Null when there is none that can be read. */
function manifestIn(folder: string): PackManifest | null {
  try {
    return parseManifest(readFileSync(join(folder, manifestName), "utf8"), folder);
  } catch {
    return null;
  }
}
