import { mkdir, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import type { Dispatcher } from "undici";
import type { DownloadProgress } from "../../shared/download_progress";
import { EngineError } from "../../shared/errors";
import { cancelledDownload } from "./cancelled";
import { sha256Of } from "./checksum";
import { ensureRoom, freeBytesOf, writeError, type FreeBytes } from "./disk_space";
import { createDispatcher } from "./dispatcher";
import { abandon, openSource, reason, TransientFailure, WrongRange, type Source } from "./http_source";
import { PartialFile } from "./partial_file";
import { defaultTiming, Patience, pause, pauseAfter, type DownloadTiming } from "./retry";

export type FileProgress = Omit<DownloadProgress, "ref">;

export interface DownloadOptions {
  url: string;
  /** Path of the finished file; the folder is created. What stands there is replaced. */
  target: string;
  sha256: string;
  sizeBytes: number;
  /** Address of a proxy; empty: the one of the environment, if any. */
  proxy: string;
  /** Hosts reached without the proxy, separated by commas. */
  noProxy: string;
  signal: AbortSignal;
  onProgress: (progress: FileProgress) => void;
  timing?: DownloadTiming;
  freeBytes?: FreeBytes;
  /** End of the sentence that tells what to do when the disk is full; without it, that of a model. */
  elsewhere?: string;
}

const progressEveryMs = 200;

/**
 * Downloads a file: resumes what is there, tries again after failures that may pass, and gives the file its name only
 * when its checksum is right. Fails with `DOWNLOAD_FAILED`, `CHECKSUM_MISMATCH`, `DISK_FULL` or, when aborted,
 * `CANCELLED`; the partial file then stays for the next time, unless its bytes are known to be wrong. One download of a
 * target at a time: the caller locks.
 */
export async function downloadFile(options: DownloadOptions): Promise<void> {
  const dispatcher = createDispatcher(options.proxy, options.noProxy);
  try {
    await new Download(options, dispatcher).run();
  } catch (thrown) {
    if (options.signal.aborted) throw cancelledDownload(thrown);
    throw writeError(thrown, options.target, options.elsewhere) ?? thrown;
  } finally {
    await dispatcher.destroy();
  }
}

class Download {
  private readonly partial: PartialFile;
  private readonly timing: DownloadTiming;
  private readonly patience: Patience;

  constructor(
    private readonly options: DownloadOptions,
    private readonly dispatcher: Dispatcher,
  ) {
    this.partial = new PartialFile(options.target);
    this.timing = options.timing ?? defaultTiming;
    this.patience = new Patience(this.timing.mostFailures);
  }

  async run(): Promise<void> {
    const { target, sha256, sizeBytes, signal } = this.options;
    signal.throwIfAborted();
    await mkdir(dirname(target), { recursive: true });
    if (this.partial.state?.sha256 !== sha256 || this.partial.size > sizeBytes) this.partial.discard();
    this.patience.reached(this.partial.size);
    while (this.partial.size < sizeBytes) {
      try {
        await this.receiveRest();
        if (this.partial.size < sizeBytes) throw new TransientFailure("the partial file was changed by somebody else");
      } catch (thrown) {
        if (signal.aborted || !(thrown instanceof TransientFailure)) throw thrown;
        if (thrown instanceof WrongRange) this.partial.discard();
        await this.waitAfter(thrown);
      }
    }
    await this.verify();
    await this.partial.complete();
  }

  /** One request. Returns when all bytes are there; what came before a failure is kept. */
  private async receiveRest(): Promise<void> {
    const { url, signal, sha256, sizeBytes, target } = this.options;
    this.report("connecting");
    const from = this.partial.size;
    const state = this.partial.state;
    const etag = state?.url === url ? state.etag : null;
    const { dispatcher, timing } = this;
    const source = await openSource({ url, from, etag, dispatcher, stallTimeoutMs: timing.stallTimeoutMs, signal });
    try {
      this.checkSize(source);
      // Bytes that are there already are written over, so they need no further room.
      await ensureRoom(target, sizeBytes - from, this.options.freeBytes ?? freeBytesOf, this.options.elsewhere);
      const file = await this.partial.openAt(source.start, { sha256, url, etag: source.etag });
      try {
        await this.write(source, file);
      } finally {
        await file.close();
      }
    } finally {
      abandon(source.body);
    }
  }

  /** A page of a proxy or a mirror instead of the file shows itself here, before anything is written. */
  private checkSize({ totalBytes }: Source): void {
    const { url, sizeBytes } = this.options;
    if (totalBytes === null || totalBytes === sizeBytes) return;
    throw new EngineError(
      "DOWNLOAD_FAILED",
      `${url} offers ${String(totalBytes)} bytes, but the file should have ${String(sizeBytes)}. Check the mirror and proxy settings (nmos.download, http.proxy).`,
    );
  }

  private async write({ body, start }: Source, file: FileHandle): Promise<void> {
    const { sizeBytes, signal } = this.options;
    let position = start;
    let reported = { at: Date.now(), position };
    for await (const chunk of chunksOf(body, signal)) {
      if (position + chunk.length > sizeBytes) throw new WrongRange("the server sent more than the file should have");
      await writeAt(file, chunk, position);
      position += chunk.length;
      this.patience.reached(position);
      const elapsed = Date.now() - reported.at;
      if (elapsed < progressEveryMs) continue;
      this.report("downloading", position, ((position - reported.position) / elapsed) * 1000);
      reported = { at: Date.now(), position };
    }
    if (position < sizeBytes) {
      throw new TransientFailure(`the connection ended ${String(sizeBytes - position)} bytes early`);
    }
  }

  private async verify(): Promise<void> {
    const { signal, url, sha256 } = this.options;
    const actual = await sha256Of(this.partial.path, {
      signal,
      onProgress: (bytes) => {
        this.report("verifying", bytes);
      },
    });
    if (actual === sha256) return;
    this.partial.discard();
    throw new EngineError(
      "CHECKSUM_MISMATCH",
      `The file from ${url} has the SHA-256 ${actual}, expected ${sha256}. It was deleted; try again, or check the mirror and proxy settings (nmos.download, http.proxy).`,
    );
  }

  private async waitAfter(failure: TransientFailure): Promise<void> {
    const over = this.patience.fail();
    const { failures } = this.patience;
    if (over) {
      throw new EngineError(
        "DOWNLOAD_FAILED",
        `${this.options.url} failed ${String(failures)} times in a row: ${failure.message}. What is there is kept; check the network and the proxy setting (http.proxy), then try again.`,
        { cause: failure },
      );
    }
    const pauseMs = pauseAfter(failures, failure.retryAfterMs, this.timing);
    const seconds = Math.ceil(pauseMs / 1000);
    this.report("waiting", this.partial.size, 0, `${failure.message}; next try in ${String(seconds)} s`);
    await pause(pauseMs, this.options.signal);
  }

  private report(phase: FileProgress["phase"], bytes = this.partial.size, bytesPerSecond = 0, message?: string): void {
    const progress = { phase, receivedBytes: bytes, totalBytes: this.options.sizeBytes, bytesPerSecond };
    this.options.onProgress(message === undefined ? progress : { ...progress, message });
  }
}

/** The pieces of a body; a broken connection is a failure that may pass. */
async function* chunksOf(body: Source["body"], signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    yield* body as AsyncIterable<Buffer>;
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    throw new TransientFailure(`the connection broke: ${reason(thrown)}`);
  }
}

/** Writes all of a chunk; one call of the system may write less. */
async function writeAt(file: FileHandle, chunk: Buffer, position: number): Promise<void> {
  for (let written = 0; written < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, written, chunk.length - written, position + written);
    written += bytesWritten;
  }
}
