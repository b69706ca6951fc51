import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { EngineError } from "../../shared/errors";

/** Where a file is copied from: a file of its own, or one in an archive. */
export interface FileSource {
  /** Names it in messages. */
  label: string;
  /** Absolute path of a file of its own; null: it is a part of another file. */
  path: string | null;
  /** Its bytes from the first to the last; whoever asks for the stream destroys it. Rejects with an `EngineError`. */
  open(): Promise<Readable>;
}

export function fileAt(path: string): FileSource {
  return { label: path, path, open: () => Promise.resolve(createReadStream(path, { highWaterMark: 4 * 2 ** 20 })) };
}

/** What the stream of a source ended with, as an error that says what to do. */
export function readError(thrown: unknown, { label }: FileSource): EngineError {
  if (thrown instanceof EngineError) return thrown;
  const { code, syscall } = (thrown ?? {}) as NodeJS.ErrnoException;
  // What the system says comes of the disk, and all else of what lies there: errors of zlib have codes, too.
  if (typeof syscall === "string") {
    return new EngineError(
      "DOWNLOAD_FAILED",
      `${label} cannot be read (${code ?? String(thrown)}). Check that the disk it lies on is still connected, then try again.`,
      { cause: thrown },
    );
  }
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new EngineError("CHECKSUM_MISMATCH", `${label} is damaged: ${why}. Get it again.`, { cause: thrown });
}
