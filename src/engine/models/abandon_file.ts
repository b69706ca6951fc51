import type { WriteStream } from "node:fs";
import { rm } from "node:fs/promises";

/**
 * Gives up a file that is being written: removes it when it is closed, because one that is just being opened would appear
 * after it was removed. Null: it was not begun.
 */
export async function abandonFile(path: string, file: WriteStream | null): Promise<void> {
  if (file && !file.closed) {
    await new Promise<void>((resolve) => {
      file.once("close", resolve);
      file.destroy();
    });
  }
  await rm(path, { force: true });
}
