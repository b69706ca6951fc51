import { readdirSync } from "node:fs";
import { join } from "node:path";
import { sha256Of } from "../../src/engine/models/checksum";
import { cacheDirectory } from "./cache";
import { fillOnce } from "./fill_once";
import { pythonWithPip } from "./python";
import { runCommand } from "./run_command";

/** A wheel of the Python package index, pinned by its checksum. */
export interface PinnedWheel {
  /** `name==version`. */
  wheel: string;
  /** The machines it is for, as the index names them, such as `win_amd64`. */
  platform: string;
  /** The Python it is for, such as `3.12`, where it is not for every one. */
  python?: string;
  sha256: string;
}

/**
 * Fetches a wheel with pip, also one for another system, checks it and unpacks it into the cache, once; resolves with its root
 * folder. Nothing of it is run. Throws MissingTool where there is no pip.
 */
export async function ensureWheel({ wheel, platform, python: version, sha256 }: PinnedWheel): Promise<string> {
  const root = join(cacheDirectory("packages"), `${wheel}+${platform}+${sha256.slice(0, 12)}`);
  return fillOnce(root, async (target) => {
    console.log(`fetching ${wheel} for ${platform}`);
    const python = pythonWithPip(`fetch ${wheel}`);
    const download = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"];
    const machine = ["--only-binary=:all:", "--platform", platform];
    if (version !== undefined) machine.push("--python-version", version);
    const directory = `${target}.wheel`;
    await runCommand(python, [...download, ...machine, wheel, "-d", directory]);
    const [file] = readdirSync(directory);
    if (!file) throw new Error(`pip brought no wheel for ${wheel}`);
    const actual = await sha256Of(join(directory, file));
    if (actual !== sha256) {
      throw new Error(`${file} has the SHA-256 ${actual}, but ${sha256} is pinned. Nothing was unpacked.`);
    }
    await runCommand(python, ["-m", "zipfile", "-e", join(directory, file), target]);
  });
}
