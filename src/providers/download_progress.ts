import type * as vscode from "vscode";
import type { DownloadProgress } from "../shared/download_progress";
import { progressMessage } from "./model_text";

/** Shows a download in a notification. */
export function progressReporter(
  progress: vscode.Progress<{ message?: string; increment?: number }>,
): (value: DownloadProgress) => void {
  let shown = 0;
  return (value) => {
    const percent = (100 * value.receivedBytes) / Math.max(1, value.totalBytes);
    progress.report({ message: progressMessage(value), increment: percent - shown });
    shown = percent;
  };
}
