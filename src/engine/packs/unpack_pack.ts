import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Transform, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { text } from "node:stream/consumers";
import { EngineError } from "../../shared/errors";
import { ZipArchive } from "../zip_archive";
import { renamePatiently } from "../models/held_file";
import { manifestName, parseManifest, type PackFile, type PackManifest } from "./pack_manifest";

export interface UnpackOptions {
  signal: AbortSignal;
  /** Bytes written so far, of those that the pack holds. */
  onProgress: (bytes: number, totalBytes: number) => void;
}

/** Virus scanners of Windows hold new libraries for a moment. */
const removal = { recursive: true, force: true, maxRetries: 5 };

/** They read all of them before the folder can be renamed: a minute, ten attempts a second. */
const folderRenames = 600;

/**
 * Unpacks a pack into `folder`, which takes its name only when the checksum of every file was right; what stands there is
 * replaced. Fails with `CHECKSUM_MISMATCH`, the system's error, or the reason of the abort, and leaves nothing then.
 */
export async function unpackPack(archive: string, folder: string, options: UnpackOptions): Promise<PackManifest> {
  const scratch = `${folder}.unpacking`;
  await rm(scratch, removal);
  const zip = await ZipArchive.open(archive, (what, cause) => damaged(archive, what, cause));
  try {
    const manifest = await readManifest(zip, archive);
    await mkdir(join(scratch, "licenses"), { recursive: true });
    await extractAll(zip, manifest, scratch, archive, options);
    await writeFile(join(scratch, manifestName), JSON.stringify(manifest, undefined, 2));
    await rm(folder, removal);
    await renamePatiently(scratch, folder, { attempts: folderRenames });
    return manifest;
  } catch (thrown) {
    await rm(scratch, removal);
    throw thrown;
  } finally {
    zip.close();
  }
}

async function readManifest(zip: ZipArchive, archive: string): Promise<PackManifest> {
  const { names } = zip;
  if (!names.includes(manifestName)) throw damaged(archive, `it holds no ${manifestName}`);
  const manifest = parseManifest(await text(await zip.read(manifestName)), archive);
  const missing = manifest.files.filter(({ name }) => !names.includes(name)).map(({ name }) => name);
  if (missing.length > 0) throw damaged(archive, `it lacks ${missing.join(", ")}`);
  const named = new Set([manifestName, ...manifest.files.map(({ name }) => name)]);
  const stray = names.filter((name) => !named.has(name));
  if (stray.length > 0) throw damaged(archive, `its manifest does not name ${stray.join(", ")}`);
  return manifest;
}

async function extractAll(
  zip: ZipArchive,
  { files }: PackManifest,
  folder: string,
  archive: string,
  { signal, onProgress }: UnpackOptions,
): Promise<void> {
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let written = 0;
  for (const file of files) {
    const source = await zip.read(file.name);
    await extract(source, file, join(folder, file.name), archive, signal, (bytes) => {
      written += bytes;
      onProgress(written, totalBytes);
    });
  }
}

async function extract(
  source: Readable,
  { name, sizeBytes, sha256 }: PackFile,
  target: string,
  archive: string,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const hash = createHash("sha256");
  let bytes = 0;
  const check = new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.length;
      // A pack that swells must not fill the disk.
      if (bytes > sizeBytes) {
        done(damaged(archive, `${name} is longer than its manifest says`));
        return;
      }
      hash.update(chunk);
      onBytes(chunk.length);
      done(null, chunk);
    },
  });
  await mkdir(dirname(target), { recursive: true });
  try {
    await pipeline(source, check, createWriteStream(target, { flush: true }), { signal });
  } catch (thrown) {
    const isOurs = thrown instanceof EngineError || signal.aborted || isSystemError(thrown);
    throw isOurs ? thrown : damaged(archive, `${name}: ${String(thrown)}`, thrown);
  }
  if (bytes === sizeBytes && hash.digest("hex") === sha256) return;
  throw damaged(archive, `${name} is not what its manifest says`);
}

/** Of the disk that is written to; errors of zlib have codes, too. */
function isSystemError(thrown: unknown): boolean {
  return typeof (thrown as NodeJS.ErrnoException | null)?.syscall === "string";
}

function damaged(archive: string, what: string, cause?: unknown): EngineError {
  return new EngineError("CHECKSUM_MISMATCH", `${archive} is no usable pack: ${what}. Download it again.`, { cause });
}
