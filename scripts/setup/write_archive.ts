import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, readFileSync, renameSync, statSync } from "node:fs";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ZipFile } from "yazl";
import {
  archiveFormat,
  archiveManifestName,
  parseArchiveManifest,
  type ArchivedExtension,
  type ArchivedPart,
} from "../../src/engine/archive/archive_manifest";
import { abandonFile } from "../../src/engine/models/abandon_file";

/** A file for an archive, with where it lies here. */
type Content<File> = File & { path: string };

export interface ArchiveContents {
  version: string;
  /** `<platform>-<arch>`. */
  target: string;
  extension: Content<ArchivedExtension>;
  parts: Content<ArchivedPart>[];
  /** For people, the text of README.txt. */
  readme: string;
}

const mode = 0o100644;

/**
 * Nothing is compressed: packs and models would not get smaller, and a file system or a person gets at them as they are.
 */
const stored = { compress: false, mode };

/**
 * Writes an archive for machines without a network to `path`, where it appears when every file had the size and checksum that
 * it was given with; throws when one has not. It becomes ZIP64 where it has to. What is written, in bytes, goes to `onBytes`.
 *
 * README, manifest and extension come first and with their sizes before them, so that also old programs show them and take
 * them out.
 */
export async function writeArchive(
  path: string,
  contents: ArchiveContents,
  onBytes: (bytes: number) => void = () => undefined,
): Promise<void> {
  const { version, target, extension, parts, readme } = contents;
  const manifest = JSON.stringify(
    { format: archiveFormat, version, target, extension: listed(extension), parts: parts.map(listed) },
    undefined,
    2,
  );
  parseArchiveManifest(manifest, path, (what) => new Error(`${path} would be of no use: ${what}`));
  const scratch = `${path}.part`;
  const zip = new ZipFile();
  let written = 0;
  const count = new Transform({
    transform(chunk: Buffer, _, done) {
      written += chunk.length;
      onBytes(written);
      done(null, chunk);
    },
  });
  const fail = (thrown: Error): void => {
    count.destroy(thrown);
  };
  zip.on("error", fail);
  const file = createWriteStream(scratch, { flush: true });
  const writing = pipeline(zip.outputStream, count, file);
  try {
    zip.addBuffer(Buffer.from(readme.replaceAll("\n", "\r\n")), "README.txt", stored);
    zip.addBuffer(Buffer.from(manifest), archiveManifestName, stored);
    zip.addBuffer(checkedBuffer(extension), extension.name, stored);
    for (const part of parts) {
      expectSize(part);
      zip.addReadStreamLazy(part.name, { ...stored, size: part.sizeBytes }, (give) => {
        const bytes = Readable.from(checkedBytes(part), { objectMode: false });
        bytes.on("error", fail);
        give(null, bytes);
      });
    }
    zip.end();
    await writing;
    renameSync(scratch, path);
  } catch (thrown) {
    count.destroy();
    // Why it failed is known.
    await writing.catch(() => undefined);
    await abandonFile(scratch, file);
    throw thrown;
  }
}

type AnyContent = Content<ArchivedExtension | ArchivedPart>;

/** In the manifest, which does not say where a file lay. */
function listed(content: AnyContent): ArchivedExtension | ArchivedPart {
  const { name, sizeBytes, sha256 } = content;
  const file = { name, sizeBytes, sha256 };
  return content.kind === "extension"
    ? { kind: content.kind, ...file }
    : { kind: content.kind, id: content.id, ...file };
}

function expectSize({ path, sizeBytes }: AnyContent): void {
  const { size } = statSync(path);
  if (size !== sizeBytes) throw new Error(`${path} has ${String(size)} bytes, expected ${String(sizeBytes)}.`);
}

function expectChecksum({ path, sha256 }: AnyContent, actual: string): void {
  if (actual !== sha256) throw new Error(`${path} has the SHA-256 ${actual}, expected ${sha256}.`);
}

function checkedBuffer(content: AnyContent): Buffer {
  expectSize(content);
  const bytes = readFileSync(content.path);
  expectChecksum(content, createHash("sha256").update(bytes).digest("hex"));
  return bytes;
}

async function* checkedBytes(content: AnyContent): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  const file = createReadStream(content.path, { highWaterMark: 4 * 2 ** 20 });
  for await (const chunk of file as AsyncIterable<Buffer>) {
    hash.update(chunk);
    yield chunk;
  }
  expectChecksum(content, hash.digest("hex"));
}
