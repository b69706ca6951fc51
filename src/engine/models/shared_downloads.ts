import type { DownloadProgress } from "../../shared/download_progress";
import { cancelledDownload } from "./cancelled";
import type { FileProgress } from "./downloader";
import { SharedDownload } from "./shared_download";

export interface DownloadOptions {
  signal?: AbortSignal;
  onProgress?: (progress: DownloadProgress) => void;
}

/** Downloads, or brings from somewhere else, until `stop` aborts; resolves with where it is. */
export type Work = (stop: AbortSignal, report: (progress: FileProgress) => void) => Promise<string>;

/** The downloads of one store, at most one of each thing that it has. */
export class SharedDownloads {
  private readonly running = new Map<string, SharedDownload>();

  /** @param onChanged called after one has begun or ended. */
  constructor(private readonly onChanged: () => void) {}

  has(id: string): boolean {
    return this.running.has(id);
  }

  /** Joins the one under way, or begins one when that is not there or is being stopped. */
  async join(id: string, work: Work, options: DownloadOptions): Promise<string> {
    let shared = this.running.get(id);
    while (shared?.stopping) {
      await shared.finished.catch(() => undefined);
      shared = this.running.get(id);
    }
    if (options.signal?.aborted) throw cancelledDownload();
    return shared ? shared.join(options.signal, options.onProgress) : this.begin(id, work, options);
  }

  /** While none is under way. */
  begin(id: string, work: Work, { signal, onProgress }: DownloadOptions): Promise<string> {
    const shared = new SharedDownload((stop, report) =>
      work(stop, (progress) => {
        report({ ...progress, ref: id });
      }),
    );
    this.running.set(id, shared);
    const ended = () => {
      this.running.delete(id);
      this.onChanged();
    };
    shared.finished.then(ended, ended);
    this.onChanged();
    return shared.join(signal, onProgress);
  }

  /** Stops it for everyone and waits for its end. */
  async stop(id: string): Promise<void> {
    await this.running.get(id)?.stop();
  }

  stopAll(): void {
    for (const shared of this.running.values()) void shared.stop();
  }
}
