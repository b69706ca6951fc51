import type { Readable } from "node:stream";
import yauzl, { type Entry, type ZipFile } from "yauzl";

/** Makes the error for an archive that cannot be used; `what` says why, as the rest of a sentence. */
export type Damaged = (what: string, cause?: unknown) => Error;

/** No archive of ours comes near; the list of the files is all that is kept in memory. */
const mostFiles = 1_000;

/** A zip archive, read where it lies. Names that lead out of a folder are refused. Whoever opens it closes it. */
export class ZipArchive {
  private constructor(
    private readonly zip: ZipFile,
    private readonly entries: ReadonlyMap<string, Entry>,
    private readonly damaged: Damaged,
  ) {}

  /** Fails with what `damaged` makes of it. */
  static async open(path: string, damaged: Damaged): Promise<ZipArchive> {
    let zip: ZipFile;
    try {
      zip = await yauzl.openPromise(path, { autoClose: false });
    } catch (thrown) {
      throw damaged(reasonOf(thrown), thrown);
    }
    try {
      if (zip.entryCount > mostFiles) throw damaged(`it lists ${String(zip.entryCount)} files`);
      return new ZipArchive(zip, await entriesOf(zip, damaged), damaged);
    } catch (thrown) {
      zip.close();
      throw thrown;
    }
  }

  get names(): string[] {
    return [...this.entries.keys()];
  }

  /** Of a file when it is unpacked; null: there is none of this name. */
  sizeOf(name: string): number | null {
    return this.entries.get(name)?.uncompressedSize ?? null;
  }

  /** A stream of a file's bytes, which ends with an error when they are not as many as the archive says. */
  async read(name: string): Promise<Readable> {
    const entry = this.entries.get(name);
    if (!entry) throw this.damaged(`it lacks ${name}`);
    try {
      return await this.zip.openReadStreamPromise(entry);
    } catch (thrown) {
      throw this.damaged(`${name}: ${reasonOf(thrown)}`, thrown);
    }
  }

  /** Streams that are open go on. */
  close(): void {
    this.zip.close();
  }
}

/** yauzl itself refuses names that lead out of a folder. */
function entriesOf(zip: ZipFile, damaged: Damaged): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>();
  return new Promise((resolve, reject) => {
    zip.on("entry", (entry: Entry) => {
      // Programs differ in which of them they take.
      if (entries.has(entry.fileName)) {
        reject(damaged(`it lists ${entry.fileName} twice`));
        return;
      }
      entries.set(entry.fileName, entry);
      zip.readEntry();
    });
    zip.on("end", () => {
      resolve(entries);
    });
    zip.on("error", (thrown: Error) => {
      reject(damaged(thrown.message, thrown));
    });
    zip.readEntry();
  });
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
