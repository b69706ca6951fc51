import { rmSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import type { Disposable } from "../../shared/disposable";
import type { DownloadProgress } from "../../shared/download_progress";
import { EngineError, toEngineError } from "../../shared/errors";
import type { ModelChoice, ModelRef, ModelRole, ModelState } from "../../shared/models";
import { catalogue as standardCatalogue, downloadUrl, type CatalogueEntry } from "./catalogue";
import { freeBytesOf, writeError, type FreeBytes } from "./disk_space";
import { downloadFile, type FileProgress } from "./downloader";
import { lockForDownload, sizeOf, tryDownloadLock } from "./download_lock";
import { fileAt, type FileSource } from "./file_source";
import { fillsInMiddle } from "./gguf_fim";
import { copyChecked } from "./copy_checked";
import { entryOfSize } from "./install_model_file";
import { localModel, localModels } from "./local_gguf";
import type { InstalledModel, ModelStore } from "./model_store";
import { PartialFile } from "./partial_file";
import { fits, recommend } from "./recommend";
import type { DownloadTiming } from "./retry";
import { SharedDownloads, type DownloadOptions, type Work } from "./shared_downloads";
import { VerifiedFiles } from "./verified_files";

export interface ModelStoreOptions {
  modelsDirectory: string;
  totalMemoryBytes: number;
  /** Address of a proxy; empty: the one of the environment, if any. */
  proxy: string;
  /** Hosts reached without the proxy, separated by commas. */
  noProxy: string;
  /** Replaces the hub's address; empty: the hub. */
  mirror: string;
  log: (line: string) => void;
  catalogue?: readonly CatalogueEntry[];
  timing?: DownloadTiming;
  freeBytes?: FreeBytes;
}

type StoreSettings = Pick<ModelStoreOptions, "modelsDirectory" | "proxy" | "noProxy" | "mirror">;

export interface LocalModelStore extends ModelStore {
  /** Takes changed settings over. Another folder stops the downloads under way; else they go on with the old ones. */
  update(settings: StoreSettings): void;
  /**
   * Copies a model of the catalogue from a file and checks it as a download is; resolves with the path in the models folder.
   * Fails with `MODEL_UNKNOWN` for any other file.
   */
  installFile(
    path: string,
    options: { signal?: AbortSignal; onProgress?: (progress: DownloadProgress) => void },
  ): Promise<string>;
  /** Copies a model from where it is known to be; else as above. Replaces a damaged one of the same size. */
  installFrom(ref: ModelRef, source: FileSource, options: DownloadOptions): Promise<string>;
}

export function createModelStore(options: ModelStoreOptions): LocalModelStore {
  return new DirectoryModelStore(options);
}

const roles: ModelRole[] = ["fast", "main"];

/** The models of the catalogue in one folder, and any GGUF file of the user's. */
class DirectoryModelStore implements LocalModelStore {
  private readonly catalogue: readonly CatalogueEntry[];
  private readonly downloads = new SharedDownloads(() => {
    this.announce();
  });
  private readonly changed = new Set<() => void>();
  private verified: VerifiedFiles;

  constructor(private options: ModelStoreOptions) {
    this.catalogue = options.catalogue ?? standardCatalogue;
    this.verified = new VerifiedFiles(options.modelsDirectory, options.log);
  }

  update(settings: StoreSettings): void {
    const moved = settings.modelsDirectory !== this.options.modelsDirectory;
    this.options = { ...this.options, ...settings };
    if (!moved) return;
    this.downloads.stopAll();
    this.verified = new VerifiedFiles(settings.modelsDirectory, this.options.log);
    this.announce();
  }

  list(): Promise<ModelState[]> {
    const recommended = new Map(
      roles.map((role) => [role, recommend(this.catalogue, role, this.options.totalMemoryBytes)]),
    );
    const known = this.catalogue.map((entry) => this.stateOf(entry, recommended));
    return Promise.resolve([...known, ...this.ownFiles()]);
  }

  async choose(choice: ModelChoice, role: ModelRole): Promise<InstalledModel> {
    if (choice === "auto") return this.chooseFor(role);
    const entry = this.catalogue.find(({ id }) => id === choice);
    if (!entry && isAbsolute(choice)) return localModel(choice);
    if (!entry) throw unknownModel(choice, this.catalogue);
    if (!this.isInstalled(entry)) throw notInstalled(entry);
    return this.install(entry);
  }

  async download(ref: ModelRef, options: DownloadOptions): Promise<string> {
    const entry = this.entry(ref);
    return this.downloads.join(ref, this.from(entry), options);
  }

  async installFile(path: string, options: DownloadOptions): Promise<string> {
    return this.installFrom(entryOfSize(path, this.catalogue).id, fileAt(path), options);
  }

  async installFrom(ref: ModelRef, source: FileSource, options: DownloadOptions): Promise<string> {
    const entry = this.entry(ref);
    await this.downloads.stop(entry.id);
    return this.downloads.begin(entry.id, this.from(entry, source), options);
  }

  async pause(ref: ModelRef): Promise<void> {
    await this.downloads.stop(this.entry(ref).id);
  }

  async remove(ref: ModelRef): Promise<void> {
    const entry = this.entry(ref);
    await this.pause(ref);
    const path = this.pathOf(entry);
    const lock = await tryDownloadLock(path);
    if (!lock) {
      throw new EngineError(
        "DOWNLOAD_FAILED",
        `${entry.name} is being downloaded by another process. Stop that download, then remove the model.`,
      );
    }
    try {
      new PartialFile(path).discard();
      rmSync(path, { force: true });
      this.verified.forget(entry.file);
    } catch (thrown) {
      throw writeError(thrown, path) ?? thrown;
    } finally {
      lock.dispose();
    }
    this.announce();
  }

  onChanged(handler: () => void): Disposable {
    this.changed.add(handler);
    return { dispose: () => this.changed.delete(handler) };
  }

  /** From the hub, or from a file. */
  private from(entry: CatalogueEntry, source?: FileSource): Work {
    return (stop, report) => this.fetch(entry, source, stop, report);
  }

  /** Downloads or copies under a lock that other processes respect; one that waited finds the file there. */
  private async fetch(
    entry: CatalogueEntry,
    source: FileSource | undefined,
    signal: AbortSignal,
    onProgress: (progress: FileProgress) => void,
  ): Promise<string> {
    const { modelsDirectory, proxy, noProxy, mirror, timing, freeBytes, log } = this.options;
    const { verified } = this;
    const { file, sha256, sizeBytes } = entry;
    const target = join(modelsDirectory, file);
    const lock = await lockForDownload(target, sizeBytes, signal, onProgress);
    try {
      if (sizeOf(target) === sizeBytes && (await this.isSound(entry, { target, verified, source, signal, onProgress })))
        return target;
      if (source) {
        await copyChecked(source, target, entry, { signal, onProgress, freeBytes: freeBytes ?? freeBytesOf });
        verified.add(file, sha256);
        log(`installed ${entry.id} from ${source.label}`);
      } else {
        log(`downloading ${entry.id}`);
        const url = downloadUrl(entry, mirror);
        const injected = { ...(timing && { timing }), ...(freeBytes && { freeBytes }) };
        await downloadFile({ url, target, sha256, sizeBytes, proxy, noProxy, signal, onProgress, ...injected });
        verified.add(file, sha256);
        log(`downloaded ${entry.id} to ${target}`);
      }
      return target;
    } finally {
      lock.dispose();
    }
  }

  /**
   * Whether a file is the model, after the checksum where that was not done yet. False only where there is something to replace
   * it by; else fails with `CHECKSUM_MISMATCH`.
   */
  private async isSound(
    { file, sha256 }: CatalogueEntry,
    by: {
      target: string;
      verified: VerifiedFiles;
      source: FileSource | undefined;
      signal: AbortSignal;
      onProgress: (progress: FileProgress) => void;
    },
  ): Promise<boolean> {
    const { target, verified, source, signal, onProgress } = by;
    try {
      await verified.check(file, sha256, { signal, onProgress });
      return true;
    } catch (thrown) {
      const isItself = source !== undefined && source.path !== null && resolve(source.path) === resolve(target);
      if (!source || isItself || toEngineError(thrown).code !== "CHECKSUM_MISMATCH") throw thrown;
      this.options.log(`${target} is damaged, and replaced from ${source.label}`);
      return false;
    }
  }

  /** Checks a file's checksum before its first use. */
  private async install(entry: CatalogueEntry): Promise<InstalledModel> {
    const { id: ref, name, roles: served, sizeBytes, file, sha256 } = entry;
    const path = this.pathOf(entry);
    await this.verified.check(file, sha256);
    return { ref, name, path, roles: served, sizeBytes };
  }

  /** The GGUF files in the models folder that are none of the catalogue's. */
  private ownFiles(): ModelState[] {
    return localModels(this.options.modelsDirectory, new Set(this.catalogue.map(({ file }) => file)));
  }

  private chooseFor(role: ModelRole): Promise<InstalledModel> | InstalledModel {
    const recommended = recommend(this.catalogue, role, this.options.totalMemoryBytes);
    const serving = this.catalogue.filter((entry) => entry.roles.includes(role) && this.isInstalled(entry));
    const best = serving.find(({ id }) => id === recommended) ?? this.bestOf(serving, role);
    if (best) return this.install(best);
    const own = this.ownFiles().filter(({ path }) => role === "main" || fillsInMiddle(path));
    const bestOwn = this.bestOf(own, role);
    if (bestOwn) return localModel(bestOwn.path);
    const proposal = this.catalogue.find(({ id }) => id === recommended);
    if (proposal) throw notInstalled(proposal);
    throw new EngineError(
      "MODEL_NOT_INSTALLED",
      "No model is installed, and this machine has too little memory for those of the catalogue. Choose a GGUF file by its path.",
    );
  }

  /** For ghost text the smallest that fits the machine, for chat the largest; the smallest when none fits. */
  private bestOf<M extends Pick<ModelState, "sizeBytes" | "requiredBytes">>(models: M[], role: ModelRole) {
    const bySize = models.toSorted((a, b) => a.sizeBytes - b.sizeBytes);
    const fitting = bySize.filter((model) => fits(model, this.options.totalMemoryBytes));
    return (role === "fast" ? fitting[0] : fitting.at(-1)) ?? bySize[0];
  }

  private stateOf(entry: CatalogueEntry, recommended: Map<ModelRole, string | null>): ModelState {
    const path = this.pathOf(entry);
    const { name, sizeBytes, license, licenseUrl, contextLength, requiredBytes } = entry;
    return {
      ref: entry.id,
      name,
      roles: entry.roles,
      sizeBytes,
      license,
      licenseUrl,
      contextLength,
      requiredBytes,
      installed: this.isInstalled(entry),
      path,
      partialBytes: new PartialFile(path).size,
      downloading: this.downloads.has(entry.id),
      recommendedFor: roles.filter((role) => recommended.get(role) === entry.id),
      fits: fits(entry, this.options.totalMemoryBytes),
    };
  }

  private entry(ref: ModelRef): CatalogueEntry {
    const entry = this.catalogue.find(({ id }) => id === ref);
    if (!entry) throw unknownModel(ref, this.catalogue);
    return entry;
  }

  /** A file of another size is no model of ours, or was cut off by a full disk or a copy that stopped. */
  private isInstalled(entry: CatalogueEntry): boolean {
    return sizeOf(this.pathOf(entry)) === entry.sizeBytes;
  }

  private pathOf({ file }: CatalogueEntry): string {
    return join(this.options.modelsDirectory, file);
  }

  private announce(): void {
    for (const handler of this.changed) handler();
  }
}

function notInstalled({ name, id }: CatalogueEntry): EngineError {
  return new EngineError(
    "MODEL_NOT_INSTALLED",
    `${name} is not installed. Download it with the command "NMOS: Download Model" (${id}).`,
  );
}

function unknownModel(ref: string, catalogue: readonly CatalogueEntry[]): EngineError {
  const ids = catalogue.map(({ id }) => id).join(", ");
  return new EngineError(
    "MODEL_UNKNOWN",
    `Expected one of ${ids}, or the absolute path of a GGUF file, got ${JSON.stringify(ref)}.`,
  );
}
