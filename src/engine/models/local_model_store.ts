import { closeSync, openSync, readdirSync, readSync, rmSync, statSync, type Stats } from "node:fs";
import { mkdir } from "node:fs/promises";
import { basename, isAbsolute, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Disposable } from "../../shared/disposable";
import { EngineError } from "../../shared/errors";
import type { DownloadProgress, ModelChoice, ModelRef, ModelRole, ModelState } from "../../shared/protocol";
import { tryProcessLock } from "../process_lock";
import { catalogue as standardCatalogue, downloadUrl, type CatalogueEntry } from "./catalogue";
import { downloadFile, type DownloadTiming } from "./downloader";
import type { InstalledModel, ModelStore } from "./model_store";
import { PartialFile } from "./partial_file";
import { fits, recommend } from "./recommend";
import { SharedDownload } from "./shared_download";
import { VerifiedFiles } from "./verified_files";

export interface ModelStoreOptions {
  modelsDirectory: string;
  totalMemoryBytes: number;
  proxy: string;
  /** Replaces the hub's address; empty: the hub. */
  mirror: string;
  log: (line: string) => void;
  catalogue?: readonly CatalogueEntry[];
  timing?: DownloadTiming;
  freeBytes?: (directory: string) => Promise<number>;
}

export interface LocalModelStore extends ModelStore {
  /** Takes changed settings over; downloads under way go on with the old ones. */
  update(settings: Pick<ModelStoreOptions, "modelsDirectory" | "proxy" | "mirror">): void;
}

export function createModelStore(options: ModelStoreOptions): LocalModelStore {
  return new DirectoryModelStore(options);
}

const lockPollMs = 500;
const roles: ModelRole[] = ["fast", "main"];

/** The models of the catalogue in one folder, and any GGUF file of the user's. */
class DirectoryModelStore implements LocalModelStore {
  private readonly catalogue: readonly CatalogueEntry[];
  private readonly downloads = new Map<string, SharedDownload>();
  private readonly changed = new Set<() => void>();

  constructor(private options: ModelStoreOptions) {
    this.catalogue = options.catalogue ?? standardCatalogue;
  }

  update(settings: Pick<ModelStoreOptions, "modelsDirectory" | "proxy" | "mirror">): void {
    const moved = settings.modelsDirectory !== this.options.modelsDirectory;
    this.options = { ...this.options, ...settings };
    if (moved) this.announce();
  }

  list(): Promise<ModelState[]> {
    const recommended = new Map(
      roles.map((role) => [role, recommend(this.catalogue, role, this.options.totalMemoryBytes)]),
    );
    const known = this.catalogue.map((entry) => this.stateOf(entry, recommended));
    const files = new Set(this.catalogue.map(({ file }) => file));
    const others = ggufFiles(this.options.modelsDirectory).filter((file) => !files.has(file));
    return Promise.resolve([...known, ...others.map((file) => localState(join(this.options.modelsDirectory, file)))]);
  }

  async choose(choice: ModelChoice, role: ModelRole): Promise<InstalledModel> {
    if (choice === "auto") return this.install(this.bestInstalled(role));
    const entry = this.catalogue.find(({ id }) => id === choice);
    if (entry) {
      if (!isFile(this.pathOf(entry))) throw notInstalled(entry);
      return this.install(entry);
    }
    if (isAbsolute(choice)) return localModel(choice);
    throw unknownModel(choice, this.catalogue);
  }

  async download(
    ref: ModelRef,
    { signal, onProgress }: { signal?: AbortSignal; onProgress?: (progress: DownloadProgress) => void },
  ): Promise<string> {
    const entry = this.entry(ref);
    let shared = this.downloads.get(ref);
    if (!shared) {
      shared = new SharedDownload((stop, report) =>
        this.fetch(entry, stop, (progress) => {
          report({ ...progress, ref });
        }),
      );
      this.downloads.set(ref, shared);
      const ended = () => {
        this.downloads.delete(ref);
        this.announce();
      };
      shared.finished.then(ended, ended);
      this.announce();
    }
    return shared.join(signal, onProgress);
  }

  async pause(ref: ModelRef): Promise<void> {
    this.entry(ref);
    await this.downloads.get(ref)?.stop();
  }

  async remove(ref: ModelRef): Promise<void> {
    const entry = this.entry(ref);
    await this.pause(ref);
    const path = this.pathOf(entry);
    new PartialFile(path).discard();
    rmSync(path, { force: true });
    this.verified().forget(entry.file);
    this.announce();
  }

  onChanged(handler: () => void): Disposable {
    this.changed.add(handler);
    return { dispose: () => this.changed.delete(handler) };
  }

  /** Downloads under a lock that other processes respect; one that waited finds the file there. */
  private async fetch(
    entry: CatalogueEntry,
    signal: AbortSignal,
    onProgress: (progress: Omit<DownloadProgress, "ref">) => void,
  ): Promise<string> {
    const { modelsDirectory, proxy, mirror, timing, freeBytes } = this.options;
    const target = this.pathOf(entry);
    await mkdir(modelsDirectory, { recursive: true });
    let lock = tryProcessLock(`${target}.lock`);
    while (!lock) {
      const message = "another process downloads this model";
      onProgress({
        phase: "waiting",
        receivedBytes: new PartialFile(target).size,
        totalBytes: entry.sizeBytes,
        bytesPerSecond: 0,
        message,
      });
      await delay(lockPollMs, undefined, { signal });
      lock = tryProcessLock(`${target}.lock`);
    }
    try {
      if (!isFile(target)) {
        this.options.log(`downloading ${entry.id}`);
        const { sha256, sizeBytes } = entry;
        const url = downloadUrl(entry, mirror);
        const extra = { ...(timing && { timing }), ...(freeBytes && { freeBytes }) };
        await downloadFile({ url, target, sha256, sizeBytes, proxy, signal, onProgress, ...extra });
        this.verified().add(entry.file);
      }
      await this.install(entry);
      return target;
    } finally {
      lock.dispose();
    }
  }

  /** Checks a file's checksum before its first use. */
  private async install(entry: CatalogueEntry): Promise<InstalledModel> {
    await this.verified().check(entry);
    const { id: ref, name, roles: served } = entry;
    const path = this.pathOf(entry);
    return { ref, name, path, roles: served, sizeBytes: statSync(path).size };
  }

  private bestInstalled(role: ModelRole): CatalogueEntry {
    const installed = this.catalogue.filter((entry) => isFile(this.pathOf(entry)));
    const recommended = recommend(this.catalogue, role, this.options.totalMemoryBytes);
    const serving = installed.filter((entry) => entry.roles.includes(role));
    const fitting = serving.filter((entry) => fits(entry, this.options.totalMemoryBytes)).toSorted(bySize);
    const best =
      installed.find(({ id }) => id === recommended) ?? (role === "fast" ? fitting[0] : fitting.at(-1)) ?? serving[0];
    if (best) return best;
    const proposal = this.catalogue.find(({ id }) => id === recommended);
    if (proposal) throw notInstalled(proposal);
    throw new EngineError(
      "MODEL_NOT_INSTALLED",
      "No model is installed, and this machine has too little memory for those of the catalogue. Choose a GGUF file by its path.",
    );
  }

  private stateOf(entry: CatalogueEntry, recommended: Map<ModelRole, string | null>): ModelState {
    const path = this.pathOf(entry);
    return {
      ref: entry.id,
      name: entry.name,
      roles: entry.roles,
      sizeBytes: entry.sizeBytes,
      license: entry.license,
      licenseUrl: entry.licenseUrl,
      contextLength: entry.contextLength,
      requiredBytes: entry.requiredBytes,
      installed: isFile(path),
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

  private pathOf({ file }: CatalogueEntry): string {
    return join(this.options.modelsDirectory, file);
  }

  private verified(): VerifiedFiles {
    return new VerifiedFiles(this.options.modelsDirectory);
  }

  private announce(): void {
    for (const handler of this.changed) handler();
  }
}

function bySize(a: CatalogueEntry, b: CatalogueEntry): number {
  return a.sizeBytes - b.sizeBytes;
}

function localModel(path: string): InstalledModel {
  const { sizeBytes, name } = localState(path);
  return { ref: path, name, path, roles, sizeBytes };
}

/** A GGUF file outside the catalogue. Throws MODEL_NOT_FOUND or MODEL_INVALID. */
function localState(path: string): ModelState {
  const { size } = ggufStat(path);
  return {
    ref: path,
    name: basename(path, ".gguf"),
    roles,
    sizeBytes: size,
    license: "",
    licenseUrl: "",
    contextLength: 0,
    requiredBytes: size,
    installed: true,
    path,
    partialBytes: 0,
    downloading: false,
    recommendedFor: [],
    fits: true,
  };
}

function ggufStat(path: string): Stats {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isFile()) {
    throw new EngineError(
      "MODEL_NOT_FOUND",
      `Expected a GGUF file at ${path}, but there is none. Check the path of the model in the settings.`,
    );
  }
  if (!beginsWithGguf(path)) {
    throw new EngineError(
      "MODEL_INVALID",
      `${path} is no GGUF file: it does not begin with "GGUF". Choose a model in GGUF format.`,
    );
  }
  return stat;
}

function beginsWithGguf(path: string): boolean {
  const magic = Buffer.alloc(4);
  const file = openSync(path, "r");
  try {
    readSync(file, magic, 0, 4, 0);
  } finally {
    closeSync(file);
  }
  return magic.toString("latin1") === "GGUF";
}

function ggufFiles(directory: string): string[] {
  try {
    return readdirSync(directory).filter((file) => file.endsWith(".gguf") && beginsWithGguf(join(directory, file)));
  } catch {
    return [];
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
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
