import { realpathSync } from "node:fs";

/** The same for a file whatever name it is asked for by. */
export function fileKey(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
