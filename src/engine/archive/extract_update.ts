import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import manifest from "../../../package.json";
import { EngineError } from "../../shared/errors";
import { writeError, type FreeBytes } from "../models/disk_space";
import type { FileProgress } from "../models/downloader";
import type { FileSource } from "../models/file_source";
import { copyChecked } from "../models/copy_checked";
import { longestManifest, type ArchivedExtension } from "./archive_manifest";
import { ZipArchive } from "../zip_archive";

/** In a VSIX. */
const extensionManifest = "extension/package.json";

/**
 * Copies the VSIX of an archive to `target`, in a folder of its own, and makes sure that it is this extension in the version that the archive says.
 * Fails with the codes of `copyChecked` and leaves nothing then.
 */
export async function extractUpdate(
  source: FileSource,
  { name, sizeBytes, sha256 }: ArchivedExtension,
  version: string,
  target: string,
  options: { signal: AbortSignal; onProgress: (progress: FileProgress) => void; freeBytes: FreeBytes },
): Promise<void> {
  try {
    await mkdir(dirname(target), { recursive: true });
    await copyChecked(source, target, { name, sizeBytes, sha256 }, { ...options, elsewhere: "" });
    const found = await identityOf(target, source.label);
    const expected = `${manifest.publisher}.${manifest.name} ${version}`;
    if (found !== expected) throw unusable(source.label, `it is ${found}, expected ${expected}`);
  } catch (thrown) {
    await rm(dirname(target), { recursive: true, force: true }).catch(() => undefined);
    throw writeError(thrown, target, "") ?? thrown;
  }
}

/** So long a window may ask its user about a VSIX. */
const longestQuestionMs = 24 * 60 * 60 * 1000;

/** What windows have left that were closed while they asked. Never fails: nobody waits for the room. */
export async function removeOldUpdates(updates: string): Promise<void> {
  const names = await readdir(updates).catch(() => []);
  for (const path of names.map((name) => join(updates, name))) {
    try {
      const { mtimeMs } = await stat(path);
      if (Date.now() - mtimeMs > longestQuestionMs) await rm(path, { recursive: true, force: true });
    } catch {
      // Somebody else removes it, or holds it; the next time will do.
    }
  }
}

/** `publisher.name version` of a VSIX. */
async function identityOf(path: string, label: string): Promise<string> {
  const vsix = await ZipArchive.open(path, (what, cause) => unusable(label, what, cause));
  try {
    const size = vsix.sizeOf(extensionManifest);
    if (size === null || size > longestManifest) throw unusable(label, `it has no ${extensionManifest}`);
    const content = await text(await vsix.read(extensionManifest));
    const { publisher, name, version } = JSON.parse(content) as Partial<Record<string, unknown>>;
    return `${String(publisher)}.${String(name)} ${String(version)}`;
  } catch (thrown) {
    throw thrown instanceof EngineError ? thrown : unusable(label, String(thrown), thrown);
  } finally {
    vsix.close();
  }
}

function unusable(label: string, what: string, cause?: unknown): EngineError {
  return new EngineError("CHECKSUM_MISMATCH", `${label} is no usable extension: ${what}. Make the archive again.`, {
    cause,
  });
}
