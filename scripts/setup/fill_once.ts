import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";

/**
 * Fills a folder of the cache once: `fill` works in an empty folder beside it, which takes its name only when complete, so
 * that an interrupted run leaves nothing half done. Whoever finishes first wins.
 */
export async function fillOnce(directory: string, fill: (target: string) => Promise<void>): Promise<string> {
  if (existsSync(directory)) return directory;
  const scratch = mkdtempSync(`${directory}.partial-`);
  const content = `${scratch}/content`;
  try {
    mkdirSync(content);
    await fill(content);
    if (!existsSync(directory)) renameSync(content, directory);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return directory;
}
