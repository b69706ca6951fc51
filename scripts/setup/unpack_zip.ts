import { createWriteStream, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import yauzl from "yauzl";

/** Unpacks what lies below a folder of a zip archive into `target`. Names that lead out of the archive are refused. */
export function unpackZip(path: string, folder: string, target: string): Promise<void> {
  return new Promise((resolve, reject) => {
    yauzl.open(path, { lazyEntries: true }, (error, archive) => {
      if (error) {
        reject(error);
        return;
      }
      archive.on("entry", (entry: yauzl.Entry) => {
        unpackEntry(archive, entry, folder, target).then(() => {
          archive.readEntry();
        }, reject);
      });
      archive.on("end", resolve);
      archive.on("error", reject);
      archive.readEntry();
    });
  });
}

async function unpackEntry(archive: yauzl.ZipFile, entry: yauzl.Entry, folder: string, target: string): Promise<void> {
  const { fileName } = entry;
  if (!fileName.startsWith(`${folder}/`) || fileName.endsWith("/")) return;
  const file = join(target, fileName.slice(folder.length + 1));
  const content = await new Promise<Readable>((resolve, reject) => {
    archive.openReadStream(entry, (error, stream) => {
      if (error) reject(error);
      else resolve(stream);
    });
  });
  mkdirSync(dirname(file), { recursive: true });
  await pipeline(content, createWriteStream(file));
}
