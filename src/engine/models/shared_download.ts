import type { DownloadProgress } from "../../shared/download_progress";
import { cancelledDownload } from "./cancelled";

type Run = (signal: AbortSignal, report: (progress: DownloadProgress) => void) => Promise<string>;

/** Clients hear of what goes on no more often than this, except when something else begins or it is complete. */
const progressEveryMs = 200;

/** One download that several clients wait for. It goes on as long as one of them does. */
export class SharedDownload {
  /** Settles with the download itself. */
  readonly finished: Promise<string>;
  private readonly controller = new AbortController();
  private readonly listeners = new Set<(progress: DownloadProgress) => void>();
  private last: DownloadProgress | null = null;
  private lastAt = -Infinity;
  private waiting = 0;

  constructor(run: Run) {
    this.finished = run(this.controller.signal, (progress) => {
      const isDue = performance.now() - this.lastAt >= progressEveryMs;
      const isComplete = progress.receivedBytes === progress.totalBytes;
      const isSame = progress.phase === this.last?.phase && progress.message === this.last.message;
      if (!isDue && !isComplete && isSame) return;
      this.last = progress;
      this.lastAt = performance.now();
      for (const listener of this.listeners) listener(progress);
    });
    // Whoever joined reports the failure.
    this.finished.catch(() => undefined);
  }

  /** It is being stopped: nobody can join any more. */
  get stopping(): boolean {
    return this.controller.signal.aborted;
  }

  /** Waits for the end; aborting leaves the others alone, and the last one who leaves stops the download. */
  async join(signal?: AbortSignal, onProgress?: (progress: DownloadProgress) => void): Promise<string> {
    this.waiting += 1;
    if (onProgress) {
      this.listeners.add(onProgress);
      if (this.last) onProgress(this.last);
    }
    let leave: () => void = () => undefined;
    const left = new Promise<never>((_, reject) => {
      leave = () => {
        reject(cancelledDownload());
      };
      if (signal?.aborted) leave();
      signal?.addEventListener("abort", leave, { once: true });
    });
    try {
      return await Promise.race([this.finished, left]);
    } finally {
      signal?.removeEventListener("abort", leave);
      if (onProgress) this.listeners.delete(onProgress);
      if (--this.waiting === 0) await this.stop();
    }
  }

  /** Stops for everyone and waits until the partial file is closed. */
  async stop(): Promise<void> {
    this.controller.abort();
    await this.finished.catch(() => undefined);
  }
}
