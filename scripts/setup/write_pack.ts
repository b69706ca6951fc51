import { createWriteStream, statSync } from "node:fs";
import { basename } from "node:path";
import { pipeline } from "node:stream/promises";
import { ZipFile } from "yazl";
import { sha256Of } from "../../src/engine/models/checksum";
import type { PackArchive } from "../../src/engine/packs/pack_catalogue";
import { manifestFormat, manifestName, parseManifest, type PackManifest } from "../../src/engine/packs/pack_manifest";

/** A file for a pack: its name there and where it lies here. */
export interface PackContent {
  name: string;
  path: string;
}

/** The same bytes give the same archive, in every time zone. */
const entryOptions = { mtime: new Date(2026, 0, 1), mode: 0o100644, forceDosTimestamp: true };

/** Writes an engine pack, a zip archive whose first file is the manifest, and tells what the catalogue has to say of it. */
export async function writePack(
  target: string,
  head: Omit<PackManifest, "format" | "files">,
  contents: readonly PackContent[],
): Promise<PackArchive> {
  const files = [];
  for (const { name, path } of contents) {
    files.push({ name, sizeBytes: statSync(path).size, sha256: await sha256Of(path) });
  }
  const manifest = JSON.stringify({ format: manifestFormat, ...head, files }, undefined, 2);
  parseManifest(manifest, target);
  const zip = new ZipFile();
  const written = pipeline(zip.outputStream, createWriteStream(target));
  zip.addBuffer(Buffer.from(manifest), manifestName, entryOptions);
  for (const { name, path } of contents) zip.addFile(path, name, entryOptions);
  zip.end();
  await written;
  return {
    file: basename(target),
    sizeBytes: statSync(target).size,
    sha256: await sha256Of(target),
    unpackedBytes: manifest.length + files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}
