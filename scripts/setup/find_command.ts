import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Path of the first of these commands that is on the PATH. Names are tried as they are, so give Windows' with their ending. */
export function findCommand(...names: readonly string[]): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find((path) => existsSync(path));
}
