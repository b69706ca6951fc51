import { expect, test } from "vitest";
import { SharedDownload } from "../../../src/engine/models/shared_download";
import type { DownloadProgress } from "../../../src/shared/download_progress";

const totalBytes = 1_000;

test("clients hear of every phase and of the end, and not of every piece", async () => {
  const heard: DownloadProgress[] = [];
  const download = new SharedDownload(async (_, report) => {
    await Promise.resolve();
    for (const phase of ["verifying", "unpacking"] as const) {
      for (let receivedBytes = 1; receivedBytes <= totalBytes; ++receivedBytes) {
        report({ ref: "a", phase, receivedBytes, totalBytes, bytesPerSecond: 0 });
      }
    }
    return "done";
  });
  expect(await download.join(undefined, (progress) => heard.push(progress))).toBe("done");
  const marks = heard.map(({ phase, receivedBytes }) => `${phase} ${String(receivedBytes)}`);
  expect(marks).toEqual(expect.arrayContaining(["verifying 1", "verifying 1000", "unpacking 1", "unpacking 1000"]));
  // A machine that stands still for a while lets a few more through.
  expect(heard.length).toBeLessThan(totalBytes);
});
