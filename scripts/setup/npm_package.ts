import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "./cache";
import { fillOnce } from "./fill_once";
import { runCommand } from "./run_command";

/** A package of the npm registry, pinned by its checksum. */
export interface PinnedPackage {
  /** `name@version`. */
  package: string;
  /** Of the packed file, as npm writes it: `sha512-` and base64. */
  integrity: string;
}

/**
 * Fetches a package with `npm pack`, also one for another system, checks it and unpacks it into the cache, once; resolves
 * with its root folder. Nothing of it is run.
 */
export async function ensureNpmPackage({ package: spec, integrity }: PinnedPackage): Promise<string> {
  const digits = Buffer.from(integrity.replace(/^sha512-/, ""), "base64")
    .toString("hex")
    .slice(0, 12);
  const directory = join(cacheDirectory("packages"), `${spec.replaceAll("/", "+")}+${digits}`);
  return fillOnce(directory, async (target) => {
    console.log(`fetching ${spec}`);
    await runCommand("npm", ["pack", spec, "--silent", "--pack-destination", target]);
    const [tarball] = readdirSync(target);
    if (!tarball) throw new Error(`npm pack ${spec} left no file`);
    const path = join(target, tarball);
    const actual = `sha512-${createHash("sha512").update(readFileSync(path)).digest("base64")}`;
    if (actual !== integrity) {
      throw new Error(`${spec} has the checksum ${actual}, but ${integrity} is pinned. Nothing was unpacked.`);
    }
    await runCommand("tar", ["-xzf", tarball, "--strip-components=1"], { cwd: target });
    rmSync(path);
  });
}
