import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { EngineError } from "../../shared/errors";
import type { ArchivedName, ArchiveInstalled } from "../../shared/archive";
import type { DownloadProgress } from "../../shared/download_progress";
import type { PackReport } from "../../shared/packs";
import { cancelledDownload } from "../models/cancelled";
import type { CatalogueEntry } from "../models/catalogue";
import { ensureRoomForAll, freeBytesOf, type FreeBytes, type RoomNeed } from "../models/disk_space";
import { sizeOf } from "../models/download_lock";
import type { FileSource } from "../models/file_source";
import { leftBytes } from "../models/copy_checked";
import type { LocalModelStore } from "../models/local_model_store";
import type { DownloadOptions } from "../models/shared_downloads";
import { missingDriver } from "../packs/choose_pack";
import type { PackEntry } from "../packs/pack_catalogue";
import {
  archiveManifestName,
  longestManifest,
  parseArchiveManifest,
  type ArchivedExtension,
  type ArchivedPart,
  type ArchiveManifest,
} from "./archive_manifest";
import { ArchiveProgress, type OnPart } from "./archive_progress";
import { extractUpdate, removeOldUpdates } from "./extract_update";
import { planArchive, type ArchivePlan } from "./plan_archive";
import { ZipArchive, type Damaged } from "../zip_archive";

/** The engine packs of this machine, as far as an archive is about them. */
export interface ArchivePacks {
  /** Those for this platform, in order of preference. */
  readonly entries: readonly PackEntry[];
  report(): Promise<PackReport>;
  roomFor(id: string): RoomNeed | null;
  installFrom(id: string, source: FileSource, options: DownloadOptions): Promise<void>;
}

export interface ArchiveInstallerOptions {
  /** Of this product. */
  version: string;
  /** `<platform>-<arch>`. */
  platform: string;
  /** Folder for the VSIX of newer versions, one folder for each, and for nothing else. */
  updates: string;
  catalogue: readonly CatalogueEntry[];
  models: Pick<LocalModelStore, "list" | "installFrom">;
  packs: ArchivePacks;
  log: (line: string) => void;
  freeBytes?: FreeBytes;
}

/** Something to be installed, with what comes of it. */
interface Step {
  part: ArchivedName;
  /** That are copied or unpacked; 0: it is there already. */
  bytes: number;
  run: (onPart: OnPart) => Promise<void>;
}

type Installed = Omit<ArchiveInstalled, "needsRestart">;

/**
 * Installs what an archive for machines without a network holds: packs and models as their stores install downloads, in
 * which nothing counts before its checksum was right. The archive is only read, and streamed. One at a time.
 */
export class ArchiveInstaller {
  private isBusy = false;

  constructor(private readonly options: ArchiveInstallerOptions) {}

  /**
   * Fails with `INVALID_ARGUMENT` for an archive of another platform or format, or one whose parts this version does not know,
   * before anything is copied, as with `DISK_FULL`; else with the codes of downloads. What was installed before stays, and the
   * next time goes on behind it.
   */
  async install(path: string, { signal, onProgress }: DownloadOptions): Promise<Installed> {
    if (sizeOf(path) === null) {
      throw new EngineError("INVALID_ARGUMENT", `Expected an archive at ${path}, but there is no such file.`);
    }
    if (this.isBusy) {
      throw new EngineError("DOWNLOAD_FAILED", "An archive is being installed. Wait for it, or cancel it first.");
    }
    this.isBusy = true;
    const damaged: Damaged = (what, cause) =>
      new EngineError("CHECKSUM_MISMATCH", `${path} is no usable archive: ${what}. Copy or make it again.`, { cause });
    try {
      const zip = await ZipArchive.open(path, damaged);
      try {
        return await this.installOpen(zip, path, damaged, signal ?? new AbortController().signal, onProgress);
      } finally {
        zip.close();
      }
    } finally {
      this.isBusy = false;
    }
  }

  private async installOpen(
    zip: ZipArchive,
    path: string,
    damaged: Damaged,
    signal: AbortSignal,
    onProgress: (progress: DownloadProgress) => void = () => undefined,
  ): Promise<Installed> {
    const { version, platform, catalogue, packs, updates, log } = this.options;
    const manifest = await readManifest(zip, path, damaged);
    const plan = planArchive(manifest, { version, platform, models: catalogue, packs: packs.entries }, path);
    const source = ({ name }: ArchivedPart | ArchivedExtension): FileSource => ({
      label: `${name} in ${path}`,
      path: null,
      open: () => zip.read(name),
    });
    const chosen = choosePack(plan, await packs.report());
    const later = plan.later.map(({ kind, id }) => ({
      kind,
      name: id,
      reason: `it belongs to NMOS ${manifest.version}: install that first, then install from the file again`,
    }));
    if (plan.update) await removeOldUpdates(updates);
    // Another window may still ask its user about one of the same name.
    const target = join(updates, randomUUID(), `nmos-${manifest.version}.vsix`);
    const needs: RoomNeed[] = plan.update ? [{ target, bytes: plan.update.sizeBytes, elsewhere: "" }] : [];
    const steps = [
      ...this.packSteps(chosen.pack, source, needs, signal),
      ...(await this.modelSteps(plan, source, needs, signal)),
    ];
    const freeBytes = this.options.freeBytes ?? freeBytesOf;
    const missing = needs.map((need) => ({ ...need, bytes: Math.max(0, need.bytes - leftBytes(need.target)) }));
    await ensureRoomForAll(missing, freeBytes);
    const progress = new ArchiveProgress(
      needs.reduce((sum, { bytes }) => sum + bytes, 0),
      onProgress,
    );
    for (const { part, bytes, run } of steps) {
      if (signal.aborted) throw cancelledDownload();
      await run(progress.begin(part.name, bytes));
    }
    if (plan.update) {
      const onPart = progress.begin(`NMOS ${manifest.version}`, plan.update.sizeBytes);
      const options = { signal, onProgress: onPart, freeBytes };
      await extractUpdate(source(plan.update), plan.update, manifest.version, target, options);
    }
    log(`installed from ${path}: ${steps.map(({ part }) => part.name).join(", ") || "nothing"}`);
    return {
      installed: steps.filter(({ bytes }) => bytes > 0).map(({ part }) => part),
      present: steps.filter(({ bytes }) => bytes === 0).map(({ part }) => part),
      left: [...chosen.left, ...later],
      update: plan.update && { version: manifest.version, path: target },
    };
  }

  private packSteps(
    pack: ArchivePlan["packs"][number] | undefined,
    source: (part: ArchivedPart) => FileSource,
    needs: RoomNeed[],
    signal: AbortSignal,
  ): Step[] {
    if (!pack) return [];
    const { entry, part } = pack;
    const { packs } = this.options;
    const need = packs.roomFor(entry.id);
    if (need) needs.push(need);
    const { sizeBytes } = entry.archive;
    return [
      {
        part: { kind: "pack", name: entry.title },
        bytes: need?.bytes ?? 0,
        run: async (onPart) => {
          if (!need) return;
          // Unpacking begins when all of it is copied.
          const onProgress = (progress: DownloadProgress) => {
            const isUnpacking = progress.phase === "unpacking";
            const receivedBytes = progress.receivedBytes + (isUnpacking ? sizeBytes : 0);
            onPart({ ...progress, receivedBytes });
          };
          await packs.installFrom(entry.id, source(part), { signal, onProgress });
        },
      },
    ];
  }

  /** A model that is there is verified, where that was not done yet, and replaced when it is damaged. */
  private async modelSteps(
    { models: planned }: ArchivePlan,
    source: (part: ArchivedPart) => FileSource,
    needs: RoomNeed[],
    signal: AbortSignal,
  ): Promise<Step[]> {
    const { models } = this.options;
    const states = await models.list();
    return planned.map(({ entry, part }): Step => {
      const state = states.find(({ ref }) => ref === entry.id);
      const bytes = state?.installed ? 0 : entry.sizeBytes;
      if (state && bytes > 0) needs.push({ target: state.path, bytes });
      return {
        part: { kind: "model", name: entry.name },
        bytes,
        run: async (onProgress) => {
          await models.installFrom(entry.id, source(part), { signal, onProgress });
        },
      };
    });
  }
}

async function readManifest(zip: ZipArchive, path: string, damaged: Damaged): Promise<ArchiveManifest> {
  const size = zip.sizeOf(archiveManifestName);
  if (size === null) throw damaged(`it holds no ${archiveManifestName}`);
  if (size > longestManifest) throw damaged(`its ${archiveManifestName} is too long`);
  const manifest = parseArchiveManifest(await text(await zip.read(archiveManifestName)), path, damaged);
  for (const { name, sizeBytes } of [manifest.extension, ...manifest.parts]) {
    const actual = zip.sizeOf(name);
    if (actual === null) throw damaged(`it lacks ${name}`);
    if (actual !== sizeBytes) throw damaged(`${name} has ${String(actual)} bytes, expected ${String(sizeBytes)}`);
  }
  return manifest;
}

/**
 * Packs are alternatives: the one that suits the cards. Where none is seen, which may be for a driver that does not answer,
 * what is installed stays and nothing is added: there is still the pack as a file of its own.
 */
function choosePack(
  { packs }: ArchivePlan,
  report: PackReport,
): { pack: ArchivePlan["packs"][number] | undefined; left: ArchiveInstalled["left"] } {
  const { suitable, cards, packs: known } = report;
  const there = known.find(({ installed }) => installed);
  const wanted = cards.length === 0 ? there?.id : suitable;
  const pack = packs.find(({ entry }) => entry.id === wanted);
  const left = packs
    .filter((one) => one !== pack)
    .map(({ entry }) => ({
      kind: "pack" as const,
      name: entry.title,
      reason: whyNot(entry, pack !== undefined, report),
    }));
  return { pack, left };
}

/** Why a pack of an archive is not installed, and what to do where the archive lacks the one for this machine. */
function whyNot(entry: PackEntry, hasSuitable: boolean, { suitable, cards, reason, packs }: PackReport): string {
  if (cards.length === 0) return "no NVIDIA card was found";
  const best = packs.find(({ id }) => id === suitable);
  if (!best) return reason;
  const isIt = `${best.title} is the one for this machine`;
  if (hasSuitable) return isIt;
  if (best.installed) return `${isIt}, and is there`;
  const driver = missingDriver(entry, cards);
  const orDriver = driver === null ? "" : `, or install driver ${String(driver)} or later`;
  return `${isIt}: make the archive with --pack ${best.id}${orDriver}`;
}
