/** How far a download is, of a model or of an engine pack. */

export interface DownloadProgress {
  /** Of a model, or the id of an engine pack; of what an archive holds, its name. */
  ref: string;
  phase: "connecting" | "downloading" | "copying" | "verifying" | "unpacking" | "waiting";
  receivedBytes: number;
  totalBytes: number;
  bytesPerSecond: number;
  /** Why the download waits (`phase: "waiting"`): the last failure, and when it is tried again. */
  message?: string;
}
