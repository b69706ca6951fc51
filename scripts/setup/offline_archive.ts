/** `node scripts/run.mjs package --archive`: one archive with extension, packs and models, for machines without a network. */
import { mkdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { sha256Of } from "../../src/engine/models/checksum";
import { catalogue as standardCatalogue, type CatalogueEntry } from "../../src/engine/models/catalogue";
import { writeArchive, type ArchiveContents } from "./write_archive";

/** Where the parts come from: makes or fetches one and returns its path. */
export interface PartSources {
  /** A VSIX for a platform, in the version that is given. */
  extension: (target: string) => Promise<string>;
  pack: (id: string, target: string) => Promise<string>;
  model: (id: string) => Promise<string>;
}

export interface OfflineOptions {
  version: string;
  target: string;
  packs: readonly string[];
  /** Ids of the catalogue. */
  models: readonly string[];
  /** Where the archive goes. */
  folder: string;
  catalogue?: readonly CatalogueEntry[];
  /** What is written, of so many bytes. */
  onProgress?: (bytes: number, totalBytes: number) => void;
}

/** Makes `nmos-offline-PLATFORM.zip` and returns its path. What a model is compared with is the catalogue. */
export async function packageOffline(options: OfflineOptions, sources: PartSources): Promise<string> {
  const { version, target, folder, onProgress, catalogue = standardCatalogue } = options;
  const parts: ArchiveContents["parts"] = [];
  // Before the extension, which carries the checksums of the packs.
  for (const id of options.packs) {
    parts.push({ kind: "pack", id, ...(await described(await sources.pack(id, target))) });
  }
  const models = options.models.map((id) => {
    const entry = catalogue.find((one) => one.id === id);
    if (!entry) throw new Error(`Expected one of ${catalogue.map((one) => one.id).join(", ")}, got ${id}.`);
    return entry;
  });
  const extension = { kind: "extension" as const, ...(await described(await sources.extension(target))) };
  // Gigabytes that are fetched: behind the build, which may fail.
  for (const { id, file, sizeBytes, sha256 } of models) {
    parts.push({ kind: "model", id, name: file, sizeBytes, sha256, path: await sources.model(id) });
  }
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `nmos-offline-${target}.zip`);
  const totalBytes = [extension, ...parts].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const readme = readmeOf(version, target, extension.name, models, options.packs.length > 0);
  await writeArchive(path, { version, target, extension, parts, readme }, (bytes) => {
    onProgress?.(bytes, totalBytes);
  });
  return path;
}

async function described(path: string) {
  return { path, name: basename(path), sizeBytes: statSync(path).size, sha256: await sha256Of(path) };
}

/** What somebody reads who has this file and nothing else. */
function readmeOf(
  version: string,
  target: string,
  vsix: string,
  models: readonly CatalogueEntry[],
  hasPacks: boolean,
): string {
  const licences = models.map(({ name, license, licenseUrl }) => `- ${name}: ${license}, ${licenseUrl}\n`);
  if (hasPacks) licences.push("- CUDA support: NVIDIA's end user licence, in the pack\n");
  return `NMOS ${version} for ${target}, for machines without a network

1. Open this archive and copy ${vsix} out of it.
2. In VS Code run "Extensions: Install from VSIX..." from the Command Palette (F1) and choose the copy. Where NMOS is
   installed already, leave out this step: the next one offers a newer version.
3. Run "NMOS: Install from File" and choose this archive, as it is. Every file is checked while it is copied.
${licences.length > 0 ? `\nLicences of what else is in it:\n\n${licences.join("")}` : ""}`;
}
