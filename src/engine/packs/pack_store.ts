import { rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import type { Disposable } from "../../shared/disposable";
import { EngineError } from "../../shared/errors";
import type { PackState } from "../../shared/packs";
import { cancelledDownload } from "../models/cancelled";
import { sha256Of } from "../models/checksum";
import { ensureRoom, freeBytesOf, writeError, type FreeBytes, type RoomNeed } from "../models/disk_space";
import { lockForDownload, sizeOf, tryDownloadLock } from "../models/download_lock";
import { downloadFile, type FileProgress } from "../models/downloader";
import { fileAt, type FileSource } from "../models/file_source";
import { copyChecked, makeRoom } from "../models/copy_checked";
import { PartialFile } from "../models/partial_file";
import type { DownloadTiming } from "../models/retry";
import { SharedDownloads, type DownloadOptions, type Work } from "../models/shared_downloads";
import { packCatalogue, packUrl, type PackEntry } from "./pack_catalogue";
import { PackFolders, type InstalledPack } from "./pack_folders";
import { unpackPack } from "./unpack_pack";

export interface PackStoreOptions {
  /** Folder of the packs. */
  directory: string;
  /** `<platform>-<arch>`. */
  platform: string;
  /** Of this product: every release publishes its own packs. */
  version: string;
  /** Address of the releases; null: this build knows none. */
  releases: string | null;
  /** Settings of downloads as they are now; `mirror` replaces `releases`. */
  settings: () => { proxy: string; noProxy: string; mirror: string };
  log: (line: string) => void;
  catalogue?: readonly PackEntry[];
  timing?: DownloadTiming;
  freeBytes?: FreeBytes;
}

/** Where packs lie is no setting: libraries are loaded from there. */
const elsewhere = "";

/** The engine packs of this user. One pack at a time: they are alternatives. */
export class PackStore {
  private readonly catalogue: readonly PackEntry[];
  private readonly downloads = new SharedDownloads(() => {
    this.announce();
  });
  private readonly changed = new Set<() => void>();
  private readonly folders: PackFolders;

  constructor(private readonly options: PackStoreOptions) {
    const all = options.catalogue ?? packCatalogue;
    this.catalogue = all.filter(({ platform }) => platform === options.platform);
    this.folders = new PackFolders(options.directory, options.log);
    this.folders.removeLeftovers(this.catalogue);
  }

  /** Those for this platform, in order of preference. */
  get entries(): readonly PackEntry[] {
    return this.catalogue;
  }

  list(): PackState[] {
    return this.catalogue.map((entry) => ({
      id: entry.id,
      title: entry.title,
      sizeBytes: entry.archive.sizeBytes,
      unpackedBytes: entry.archive.unpackedBytes,
      installed: this.folders.find(entry) !== null,
      outdated: this.folders.isOutdated(entry),
      partialBytes: this.arrivedBytes(entry),
      downloading: this.downloads.has(entry.id),
      downloadable: this.urlOf(entry) !== null,
    }));
  }

  /** Null when none is installed in the version that belongs to this engine. */
  installed(): InstalledPack | null {
    return this.catalogue.map((entry) => this.folders.find(entry)).find((pack) => pack !== null) ?? null;
  }

  /**
   * Downloads a pack, or joins a download under way, and installs it; resolves with its folder. Fails with the codes of
   * downloads. The partial file of a cancelled one stays for the next time.
   */
  async install(id: string, options: DownloadOptions = {}): Promise<string> {
    const entry = this.entry(id);
    return this.downloads.join(id, (stop, report) => this.fetch(entry, stop, report), options);
  }

  /**
   * Installs a pack from a file, which has to be one of this version's for this platform; resolves with its folder.
   * `approve` may reject what the file turns out to be.
   */
  async installFile(
    path: string,
    options: DownloadOptions = {},
    approve: (entry: PackEntry) => Promise<void> = () => Promise.resolve(),
  ): Promise<string> {
    const entry = await this.identify(path, options);
    await approve(entry);
    return this.installFrom(entry.id, fileAt(path), options);
  }

  /** Installs a pack from where it is known to be; resolves with its folder. */
  async installFrom(id: string, source: FileSource, options: DownloadOptions = {}): Promise<string> {
    const entry = this.entry(id);
    if (this.downloads.has(id)) {
      throw new EngineError("DOWNLOAD_FAILED", `${entry.title} is being installed. Wait for it, or cancel it first.`);
    }
    const run: Work = (stop, report) => this.locked(entry, stop, report, () => this.copy(entry, source, stop, report));
    return this.downloads.begin(id, run, options);
  }

  /** What installing a pack from a file needs of the disk; null: it is there already. */
  roomFor(id: string): RoomNeed | null {
    const entry = this.entry(id);
    if (this.folders.find(entry)) return null;
    const { sizeBytes, unpackedBytes } = entry.archive;
    return { target: this.folders.archiveOf(entry), bytes: sizeBytes + unpackedBytes, elsewhere };
  }

  /** What a running engine has loaded may stay on the disk until the next start, but is not used again. */
  async remove(id: string): Promise<void> {
    const entry = this.entry(id);
    await this.downloads.stop(id);
    const archive = this.folders.archiveOf(entry);
    const lock = await tryDownloadLock(archive, elsewhere);
    if (!lock) {
      throw new EngineError(
        "DOWNLOAD_FAILED",
        `${entry.title} is being installed by another process. Stop that, then remove it.`,
      );
    }
    try {
      new PartialFile(archive).discard();
      rmSync(archive, { force: true });
      this.folders.remove(id);
    } catch (thrown) {
      throw writeError(thrown, archive, elsewhere) ?? thrown;
    } finally {
      lock.dispose();
    }
    this.announce();
  }

  /** The native engine gets this pack. */
  use(pack: InstalledPack): void {
    this.folders.use(pack);
  }

  onChanged(handler: () => void): Disposable {
    this.changed.add(handler);
    return { dispose: () => this.changed.delete(handler) };
  }

  private fetch(entry: PackEntry, signal: AbortSignal, onProgress: OnProgress): Promise<string> {
    return this.locked(entry, signal, onProgress, async () => {
      const { timing, freeBytes = freeBytesOf, log, settings } = this.options;
      const { sizeBytes, sha256, unpackedBytes } = entry.archive;
      const target = this.folders.archiveOf(entry);
      const url = this.urlOf(entry);
      if (url === null) {
        throw new EngineError(
          "DOWNLOAD_FAILED",
          "This build of NMOS names no address to download packs from. Set nmos.download.packMirror, or get the pack and install it from the file.",
        );
      }
      const missing = sizeBytes - this.arrivedBytes(entry);
      await ensureRoom(target, missing + unpackedBytes, freeBytes, elsewhere);
      if (sizeOf(target) !== sizeBytes || (await sha256Of(target, { signal })) !== sha256) {
        log(`downloading ${entry.id}`);
        const { proxy, noProxy } = settings();
        const file = { url, target, sha256, sizeBytes, proxy, noProxy, signal, onProgress, elsewhere };
        await downloadFile({ ...file, freeBytes, ...(timing && { timing }) });
      }
      const folder = await this.unpack(entry, target, signal, onProgress);
      await rm(target, { force: true });
      return folder;
    });
  }

  /** What is unpacked is what was checked: the user's file may change meanwhile, that in the folder of the packs not. */
  private async copy(
    entry: PackEntry,
    source: FileSource,
    signal: AbortSignal,
    onProgress: OnProgress,
  ): Promise<string> {
    const { freeBytes = freeBytesOf } = this.options;
    const { sizeBytes, sha256, unpackedBytes } = entry.archive;
    const target = this.folders.archiveOf(entry);
    await makeRoom(target, sizeBytes + unpackedBytes, freeBytes, elsewhere);
    const known = { name: entry.title, sizeBytes, sha256 };
    await copyChecked(source, target, known, { signal, onProgress, freeBytes, elsewhere });
    try {
      return await this.unpack(entry, target, signal, onProgress);
    } finally {
      if (source.path === null || resolve(source.path) !== resolve(target)) await rm(target, { force: true });
    }
  }

  /** Works under a lock that other processes respect; one that waited finds the pack there. */
  private async locked(
    entry: PackEntry,
    signal: AbortSignal,
    onProgress: OnProgress,
    work: () => Promise<string>,
  ): Promise<string> {
    const target = this.folders.archiveOf(entry);
    const lock = await lockForDownload(target, entry.archive.sizeBytes, signal, onProgress, elsewhere);
    try {
      const installed = this.folders.find(entry);
      if (installed) return installed.folder;
      // Before the download, which would be for nothing otherwise.
      await this.folders.clear(entry);
      return await work();
    } catch (thrown) {
      if (signal.aborted) throw cancelledDownload(thrown);
      throw writeError(thrown, this.folders.folderOf(entry), elsewhere) ?? thrown;
    } finally {
      lock.dispose();
    }
  }

  private async unpack(
    entry: PackEntry,
    archive: string,
    signal: AbortSignal,
    onProgress: OnProgress,
  ): Promise<string> {
    const folder = this.folders.folderOf(entry);
    await ensureRoom(folder, entry.archive.unpackedBytes, this.options.freeBytes ?? freeBytesOf, elsewhere);
    await unpackPack(archive, folder, {
      signal,
      onProgress: (receivedBytes, totalBytes) => {
        onProgress({ phase: "unpacking", receivedBytes, totalBytes, bytesPerSecond: 0 });
      },
    });
    if (!this.folders.find(entry)) {
      await rm(folder, { recursive: true, force: true });
      throw new EngineError("CHECKSUM_MISMATCH", `${archive} is another pack than ${entry.id}. Download it again.`);
    }
    this.folders.removeOthers(entry);
    this.options.log(`installed ${entry.id} in ${folder}`);
    return folder;
  }

  /** The entry that a file is, by its checksum. */
  private async identify(path: string, { signal, onProgress }: DownloadOptions): Promise<PackEntry> {
    const totalBytes = sizeOf(path);
    if (totalBytes === null) {
      throw new EngineError("INVALID_ARGUMENT", `Expected an engine pack at ${path}, but there is no such file.`);
    }
    const report = (receivedBytes: number) =>
      onProgress?.({ ref: path, phase: "verifying", receivedBytes, totalBytes, bytesPerSecond: 0 });
    const sha256 = await sha256Of(path, { ...(signal && { signal }), onProgress: report });
    const entry = this.catalogue.find(({ archive }) => archive.sha256 === sha256);
    if (entry) return entry;
    const { platform, version } = this.options;
    const expected = this.catalogue.map(({ archive }) => `${archive.file} (SHA-256 ${archive.sha256})`);
    throw new EngineError(
      "CHECKSUM_MISMATCH",
      `${path} has the SHA-256 ${sha256} and is no pack of NMOS ${version} for ${platform}; expected ${expected.join(" or ") || "none, there are none for it"}.`,
    );
  }

  /** Of an archive that was not unpacked, or not even downloaded in full. */
  private arrivedBytes(entry: PackEntry): number {
    const target = this.folders.archiveOf(entry);
    return sizeOf(target) ?? new PartialFile(target).size;
  }

  private urlOf(entry: PackEntry): string | null {
    const { version, releases, settings } = this.options;
    return packUrl(entry, version, releases, settings().mirror);
  }

  private entry(id: string): PackEntry {
    const entry = this.catalogue.find((one) => one.id === id);
    if (entry) return entry;
    const known = this.catalogue.map((one) => one.id).join(", ") || "none";
    const { platform } = this.options;
    throw new EngineError("INVALID_ARGUMENT", `Expected a pack for ${platform} (${known}), got ${JSON.stringify(id)}.`);
  }

  private announce(): void {
    for (const handler of this.changed) handler();
  }
}

type OnProgress = (progress: FileProgress) => void;
