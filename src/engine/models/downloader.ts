import { createWriteStream } from "node:fs";
import { mkdir, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pipeline } from "node:stream/promises";
import { EngineError } from "../../shared/errors";
import type { DownloadProgress } from "../../shared/protocol";
import { sha256Of } from "./checksum";
import { openSource, proxyDispatcher, reason, TransientFailure, type Source } from "./http_source";
import { PartialFile } from "./partial_file";

export type FileProgress = Omit<DownloadProgress, "ref">;

/** Waiting times; the product's own are the defaults, tests use shorter ones. */
export interface DownloadTiming {
  stallTimeoutMs: number;
  /** First pause after a failure; doubled with every further one. */
  firstPauseMs: number;
  longestPauseMs: number;
  /** Failures in a row, without a byte received between them, that end the download. */
  mostFailures: number;
}

export const defaultTiming: DownloadTiming = {
  stallTimeoutMs: 30_000,
  firstPauseMs: 1_000,
  longestPauseMs: 60_000,
  mostFailures: 8,
};

export interface DownloadOptions {
  url: string;
  /** Path of the finished file; the folder is created. */
  target: string;
  /** Null: taken from the server's answer, which must then name one. */
  sha256: string | null;
  /** Exact size when `sha256` is known. */
  sizeBytes: number;
  proxy: string;
  signal: AbortSignal;
  onProgress: (progress: FileProgress) => void;
  timing?: DownloadTiming;
  /** Free bytes of the disk that holds a folder. */
  freeBytes?: (directory: string) => Promise<number>;
}

/** Room that stays free on the disk. */
const diskMargin = 200 * 2 ** 20;
const progressEveryMs = 200;

/**
 * Downloads a file: resumes what is there, tries again after failures that may pass, and gives the file its name only
 * when its checksum is right. Fails with `DOWNLOAD_FAILED`, `CHECKSUM_MISMATCH`, `DISK_FULL` or, when aborted,
 * `CANCELLED`; the partial file then stays for the next time, unless its bytes are known to be wrong.
 */
export async function downloadFile(options: DownloadOptions): Promise<void> {
  const download = new Download(options);
  try {
    await download.run();
  } catch (thrown) {
    if (options.signal.aborted) {
      throw new EngineError("CANCELLED", "The download was paused; what is there is kept.", { cause: thrown });
    }
    if ((thrown as NodeJS.ErrnoException).code === "ENOSPC") throw diskFull(options.target, 0, 0);
    throw thrown;
  } finally {
    await download.close();
  }
}

class Download {
  private readonly partial: PartialFile;
  private readonly timing: DownloadTiming;
  private readonly dispatcher;
  private expectedSha256: string | null;
  private totalBytes: number;

  constructor(private readonly options: DownloadOptions) {
    this.partial = new PartialFile(options.target);
    this.timing = options.timing ?? defaultTiming;
    this.dispatcher = proxyDispatcher(options.proxy);
    this.expectedSha256 = options.sha256;
    this.totalBytes = options.sizeBytes;
  }

  async close(): Promise<void> {
    await this.dispatcher.close();
  }

  async run(): Promise<void> {
    await mkdir(dirname(this.options.target), { recursive: true });
    let failures = 0;
    while (
      !(await this.attempt(
        (failure) => this.pauseAfter(failure, ++failures),
        () => (failures = 0),
      ))
    );
    await this.verify();
    await this.partial.complete();
  }

  /** True when all bytes are there. */
  private async attempt(pause: (failure: TransientFailure) => Promise<void>, onBytes: () => void): Promise<boolean> {
    try {
      this.report("connecting");
      const source = await this.open();
      if (!source) return true;
      await this.receive(source, onBytes);
      return true;
    } catch (thrown) {
      if (!(thrown instanceof TransientFailure)) throw thrown;
      await pause(thrown);
      return false;
    }
  }

  private async open(): Promise<Source | null> {
    const { url, signal, sha256, sizeBytes, target } = this.options;
    const from = this.partial.size;
    const etag = this.partial.state?.etag ?? null;
    const { dispatcher, timing } = this;
    const source = await openSource({ url, from, etag, dispatcher, stallTimeoutMs: timing.stallTimeoutMs, signal });
    if (!source) {
      if (from === this.partial.state?.totalBytes) return null;
      this.partial.discard();
      throw new TransientFailure("the server holds less than what was downloaded before");
    }
    this.expectedSha256 ??= source.sha256;
    try {
      this.check(source, sha256 === null ? null : sizeBytes);
      const free = await (this.options.freeBytes ?? freeBytesOf)(dirname(target));
      const needed = source.totalBytes - source.start;
      if (free < needed + diskMargin) throw diskFull(target, needed + diskMargin, free);
    } catch (thrown) {
      source.body.destroy();
      throw thrown;
    }
    this.totalBytes = source.totalBytes;
    this.partial.begin({ etag: source.etag, totalBytes: source.totalBytes }, source.start > 0);
    return source;
  }

  private check(source: Source, exactSize: number | null): void {
    const { url } = this.options;
    if (!Number.isFinite(source.totalBytes)) {
      throw new EngineError("DOWNLOAD_FAILED", `${url} does not say how large the file is. Check the mirror setting.`);
    }
    if (exactSize !== null && source.totalBytes !== exactSize) {
      throw new EngineError(
        "DOWNLOAD_FAILED",
        `${url} offers ${String(source.totalBytes)} bytes, but the file should have ${String(exactSize)}. Check the mirror setting and the proxy.`,
      );
    }
    if (!this.expectedSha256) {
      throw new EngineError(
        "DOWNLOAD_FAILED",
        `${url} comes without a checksum, so the file could not be trusted. Download it yourself and choose it by its path.`,
      );
    }
  }

  private async receive({ body, start, totalBytes }: Source, onBytes: () => void): Promise<void> {
    let received = start;
    let reported = { at: Date.now(), bytes: start };
    body.on("data", (chunk: Buffer) => {
      received += chunk.length;
      onBytes();
      const elapsed = Date.now() - reported.at;
      if (elapsed < progressEveryMs) return;
      this.report("downloading", received, ((received - reported.bytes) / elapsed) * 1000);
      reported = { at: Date.now(), bytes: received };
    });
    const file = createWriteStream(this.partial.path, { flags: start > 0 ? "a" : "w" });
    try {
      await pipeline(body, file, { signal: this.options.signal });
    } catch (thrown) {
      if (this.options.signal.aborted || (thrown as NodeJS.ErrnoException).code === "ENOSPC") throw thrown;
      throw new TransientFailure(`the connection broke: ${reason(thrown)}`);
    }
    if (received < totalBytes)
      throw new TransientFailure(`the connection ended ${String(totalBytes - received)} bytes early`);
    if (received > totalBytes) {
      this.partial.discard();
      throw new TransientFailure("the server sent more than it announced");
    }
  }

  private async verify(): Promise<void> {
    const { signal, url } = this.options;
    const actual = await sha256Of(this.partial.path, {
      signal,
      onProgress: (bytes) => {
        this.report("verifying", bytes);
      },
    });
    if (actual === this.expectedSha256) return;
    this.partial.discard();
    throw new EngineError(
      "CHECKSUM_MISMATCH",
      `The file from ${url} has the SHA-256 ${actual}, expected ${String(this.expectedSha256)}. It was deleted; try again, or check the mirror setting and the proxy.`,
    );
  }

  private async pauseAfter(failure: TransientFailure, failures: number): Promise<void> {
    const { firstPauseMs, longestPauseMs, mostFailures } = this.timing;
    if (failures >= mostFailures) {
      throw new EngineError(
        "DOWNLOAD_FAILED",
        `${this.options.url} failed ${String(failures)} times in a row: ${failure.message}. What is there is kept; check the network and try again.`,
      );
    }
    const planned = Math.min(longestPauseMs, firstPauseMs * 2 ** (failures - 1));
    // Half of it by chance, so that many clients do not come back at the same moment.
    const pauseMs = failure.retryAfterMs ?? planned * (0.5 + Math.random() / 2);
    this.report("waiting", this.partial.size, 0, `${failure.message}; next try in ${(pauseMs / 1000).toFixed(0)} s`);
    await delay(pauseMs, undefined, { signal: this.options.signal });
  }

  private report(phase: FileProgress["phase"], bytes = this.partial.size, bytesPerSecond = 0, message?: string): void {
    const progress = { phase, receivedBytes: bytes, totalBytes: this.totalBytes, bytesPerSecond };
    this.options.onProgress(message === undefined ? progress : { ...progress, message });
  }
}

async function freeBytesOf(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

function diskFull(target: string, needed: number, free: number): EngineError {
  const megabytes = (bytes: number) => `${String(Math.ceil(bytes / 2 ** 20))} MiB`;
  const figures = needed > 0 ? ` It needs ${megabytes(needed)}, but ${megabytes(free)} are free.` : "";
  return new EngineError(
    "DISK_FULL",
    `There is no room for ${target}.${figures} Free some space or choose another folder (nmos.engine.modelsDirectory).`,
  );
}
