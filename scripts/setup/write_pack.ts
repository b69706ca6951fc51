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

/**
 * The same files give the same archive in every time zone, with the same zlib: another one (that of another Node) compresses
 * to other bytes. Storing them would not, but a download grows by a quarter to two thirds then.
 */
const entryOptions = { mtime: new Date(2026, 0, 1), mode: 0o100644, forceDosTimestamp: true };

/** Throws when an archive is not the one that the catalogue, and with it every VSIX, expects. */
export function expectArchive(actual: PackArchive, expected: PackArchive): void {
  const keys = Object.keys(expected) as (keyof PackArchive)[];
  const different = keys.filter((key) => actual[key] !== expected[key]);
  if (different.length === 0) return;
  const differences = different.map((key) => `${key} ${String(actual[key])} instead of ${String(expected[key])}`);
  throw new Error(
    `${actual.file} is not the pack of src/engine/packs/pack_catalogue.json: ${differences.join(", ")}. It was compressed by zlib ${process.versions.zlib} of Node ${process.versions.node}. Build it without --check, commit the catalogue, and begin the release again.`,
  );
}

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
