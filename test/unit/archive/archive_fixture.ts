import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { ZipFile, type Options } from "yazl";
import { writeArchive, type ArchiveContents } from "../../../scripts/setup/write_archive";
import { archiveManifestName, type ArchiveManifest } from "../../../src/engine/archive/archive_manifest";
import { ArchiveInstaller, type ArchiveInstallerOptions } from "../../../src/engine/archive/install_archive";
import { EnginePacks } from "../../../src/engine/host/engine_packs";
import type { NvidiaCard } from "../../../src/shared/packs";
import { sha256Hex } from "../models/run_download";
import { storeOf, type TestModel } from "../models/store_fixture";
import { gtx1650, packStoreOf, platform, type TestPack } from "../packs/pack_fixture";

/** Of the NMOS that runs on the machines of these tests. */
export const version = "0.1.0";

export interface Machine {
  installer: ArchiveInstaller;
  modelsDirectory: string;
  packsDirectory: string;
  updates: string;
  /** Names of everything in these folders. */
  found: () => { models: string[]; packs: string[]; updates: string[] };
}

interface MachineOptions {
  packs: readonly TestPack[];
  models: readonly TestModel[];
  /** Default: one that CUDA 13 suits. */
  cards?: NvidiaCard[];
  changes?: Partial<ArchiveInstallerOptions>;
}

/** A user whose NMOS knows these packs and models, with the product's stores. */
export function machineAt(home: string, { packs, models, cards = [gtx1650], changes = {} }: MachineOptions): Machine {
  const [modelsDirectory, packsDirectory, updates] = [join(home, "models"), join(home, "packs"), join(home, "update")];
  const enginePacks = new EnginePacks({
    store: packStoreOf(packs, packsDirectory, ""),
    platform,
    settings: () => ({ cuda: "auto", gpu: "auto" }),
    cacheDirectory: join(home, "cache"),
    vulkanTrialFile: join(home, "vulkan.trial"),
    log: () => undefined,
    onChanged: () => undefined,
    findCards: () => Promise.resolve(cards),
    env: {},
  });
  const installer = new ArchiveInstaller({
    version,
    platform,
    updates,
    catalogue: models.map(({ entry }) => entry),
    models: storeOf(models, modelsDirectory),
    packs: enginePacks,
    log: () => undefined,
    ...changes,
  });
  const names = (folder: string) => (existsSync(folder) ? readdirSync(folder).toSorted() : []);
  const found = () => ({ models: names(modelsDirectory), packs: names(packsDirectory), updates: names(updates) });
  return { installer, modelsDirectory, packsDirectory, updates, found };
}

export const nothing = { models: [], packs: [], updates: [] };

/** Name of the folder in which a pack is installed. */
export function folderOf({ entry }: TestPack): string {
  return `${entry.id}-${entry.archive.sha256.slice(0, 12)}`;
}

/** A VSIX with a manifest and no more. */
export function vsixOf(identity: { publisher?: string; name?: string; version: string }): Promise<Buffer> {
  const manifest = JSON.stringify({ publisher: "nmos", name: "nmos", ...identity });
  return zipOf({ "extension/package.json": manifest });
}

export interface ArchiveOptions {
  packs?: readonly TestPack[];
  models?: readonly TestModel[];
  version?: string;
  target?: string;
  vsix?: Buffer;
}

/** What the builder of archives is given; the files are put into `folder`. */
export async function contentsIn(folder: string, options: ArchiveOptions): Promise<ArchiveContents> {
  const { packs = [], models = [], version: archived = version, target = platform } = options;
  const vsix = options.vsix ?? (await vsixOf({ version: archived }));
  const put = (name: string, bytes: Buffer) => {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return { name, path, sizeBytes: bytes.length, sha256: sha256Hex(bytes) };
  };
  return {
    version: archived,
    target,
    extension: { kind: "extension", ...put(`nmos-${target}.vsix`, vsix) },
    parts: [
      ...packs.map(({ entry, bytes }) => ({
        kind: "pack" as const,
        id: entry.id,
        ...put(entry.archive.file, bytes),
      })),
      ...models.map(({ entry, content }) => ({ kind: "model" as const, id: entry.id, ...put(entry.file, content) })),
    ],
    readme: "Install this.\n",
  };
}

/** An archive by the product's builder, in a folder that is made. */
export async function makeArchive(folder: string, options: ArchiveOptions): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "nmos-offline.zip");
  await writeArchive(path, await contentsIn(folder, options));
  return path;
}

/** The same as names and bytes, to be changed and zipped by `zipOf`, with the manifest as an object. */
export async function looseArchive(folder: string, options: ArchiveOptions) {
  const { version: archived, target, extension, parts } = await contentsIn(folder, options);
  const manifest: ArchiveManifest = { format: 1, version: archived, target, extension, parts };
  const files = Object.fromEntries([extension, ...parts].map(({ name, path }) => [name, readFileSync(path)]));
  return { manifest, files };
}

/** A zip archive of any content with a manifest of any form, which no builder of ours would make. */
export function archiveOf(manifest: unknown, files: Record<string, Buffer>, options?: Partial<Options>) {
  return zipOf({ [archiveManifestName]: JSON.stringify(manifest), ...files }, options);
}

export async function zipOf(
  files: Record<string, Buffer | string>,
  options: Partial<Options> = { compress: false },
): Promise<Buffer> {
  const zip = new ZipFile();
  for (const [name, content] of Object.entries(files)) zip.addBuffer(Buffer.from(content), name, options);
  zip.end({ forceZip64Format: options.forceZip64Format ?? false, comment: "" });
  return buffer(zip.outputStream);
}

/** The bytes with one of them changed, so many behind the beginning of `part`. */
export function spoilt(bytes: Buffer, part: Buffer, offset: number): Buffer {
  const at = bytes.indexOf(part.subarray(0, 100)) + offset;
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}
