import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

/** Where node-gyp-build finds the addon of a platform, together with the engine libraries. */
export function prebuildFolder(platform: string): string {
  return join("prebuilds", platform);
}

/**
 * Lays an addon and the engine libraries out as `prebuilds/<platform>-<arch>/`. Files are replaced one by one and by
 * renaming, because an engine host may be running from this folder.
 */
export function layOutPrebuild(platform: string, addon: string, libraries: string): void {
  const folder = prebuildFolder(platform);
  mkdirSync(folder, { recursive: true });
  const wanted = new Map(readdirSync(libraries).map((file) => [file, join(libraries, file)]));
  wanted.set("nmos.node", addon);
  for (const [name, source] of wanted) replace(source, join(folder, name));
  for (const name of readdirSync(folder)) {
    if (!wanted.has(name)) rmSync(join(folder, name));
  }
}

function replace(source: string, target: string): void {
  const from = statSync(source);
  if (existsSync(target) && statSync(target).size === from.size && statSync(target).mtimeMs === from.mtimeMs) return;
  const scratch = `${target}.new`;
  cpSync(source, scratch, { preserveTimestamps: true });
  renameSync(scratch, target);
}
