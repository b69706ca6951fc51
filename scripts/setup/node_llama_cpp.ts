import { createHash } from "node:crypto";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory } from "./cache";
import { fillOnce } from "./fill_once";
import { runCommand } from "./run_command";

const manifestDirectory = fileURLToPath(new URL("../../bench/", import.meta.url));

/**
 * Installs node-llama-cpp, as bench/package-lock.json pins it, into the development cache: a folder for each content of
 * that lock file. Its install script, which may build from source, is left out: the prebuilt binaries are measured.
 */
export async function ensureNodeLlamaCpp(): Promise<string> {
  const lock = readFileSync(join(manifestDirectory, "package-lock.json"));
  const key = createHash("sha256").update(lock).digest("hex").slice(0, 12);
  return fillOnce(join(cacheDirectory("bench"), `node-llama-cpp-${key}`), async (target) => {
    console.log("Installing node-llama-cpp ...");
    for (const name of ["package.json", "package-lock.json"]) {
      copyFileSync(join(manifestDirectory, name), join(target, name));
    }
    await runCommand("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: target });
  });
}
