import type { DownloadProgress } from "../../shared/download_progress";
import type { FileProgress } from "../models/downloader";

/** Takes the progress of one part, counted from its own beginning. */
export type OnPart = (progress: FileProgress) => void;

/** How far an archive is, of all that is copied and unpacked. */
export class ArchiveProgress {
  private doneBytes = 0;
  private readonly startedAt = performance.now();

  constructor(
    private readonly totalBytes: number,
    private readonly onProgress: (progress: DownloadProgress) => void,
  ) {}

  /** The parts before are done; the next one has so many bytes. */
  begin(name: string, bytes: number): OnPart {
    const base = this.doneBytes;
    this.doneBytes += bytes;
    const report = (progress: FileProgress): void => {
      // A pack unpacks to a little less than its catalogue counts, and one that is there already has nothing to count.
      const receivedBytes = base + Math.min(progress.receivedBytes, bytes);
      const bytesPerSecond = (1000 * receivedBytes) / Math.max(1, performance.now() - this.startedAt);
      const { totalBytes } = this;
      this.onProgress({ ...progress, ref: name, receivedBytes, totalBytes, bytesPerSecond });
    };
    report({ phase: "verifying", receivedBytes: 0, totalBytes: bytes, bytesPerSecond: 0 });
    // What is copied is checked at the same time: how far that is says more.
    return (progress) => {
      const isCopied = progress.phase === "verifying" && bytes > 0;
      report(isCopied ? { ...progress, phase: "copying" } : progress);
    };
  }
}
