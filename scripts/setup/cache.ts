import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/**
 * A folder below the development cache, created when missing: `$NMOS_CACHE`, else `nmos` below `$XDG_CACHE_HOME`
 * or `~/.cache`. It holds what the set-up fetched and can fetch again; deleting it is always safe.
 */
export function cacheDirectory(name: string): string {
  const root = process.env["NMOS_CACHE"] || join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "nmos");
  const directory = join(root, name);
  mkdirSync(directory, { recursive: true });
  return directory;
}
