/**
 * `prebuilds/<platform>-<arch>/`: the addon beside the engine libraries, as node-gyp-build finds it from the project
 * and from the VSIX. prebuildify builds and lays it out.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import prebuildify from "prebuildify";
import { ensureEngineLibraries } from "./engine_libraries";

/** Stands in for node-gyp, which prebuildify starts to build. */
const nodeGyp = fileURLToPath(new URL("node_gyp.ts", import.meta.url));

export function prebuildFolder(platform: string): string {
  return join("prebuilds", platform);
}

/** Builds the addon for a platform and puts it in its folder. Only what changed is built and replaced. */
export async function makePrebuild(platform: string): Promise<void> {
  const [system = "", arch = ""] = platform.split("-");
  const { libraries } = await ensureEngineLibraries(platform);
  mkdirSync("build", { recursive: true });
  const staging = mkdtempSync(join("build", "prebuildify-"));
  try {
    await promisify(prebuildify)({
      platform: system,
      arch,
      cwd: staging,
      out: staging,
      name: "nmos",
      // One addon for every version of Node and Electron, so the version that is built for does not matter.
      napi: true,
      targets: [process.versions.node],
      nodeGyp: `"${process.execPath}" --import tsx "${nodeGyp}"`,
      shell: true,
      artifacts: libraries,
    });
    publish(join(staging, "prebuilds", platform), prebuildFolder(platform));
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/**
 * Makes `target` equal to `source`, file by file and by renaming: prebuildify writes into files that are there, and an
 * engine host may be running from them.
 */
function publish(source: string, target: string): void {
  mkdirSync(target, { recursive: true });
  const wanted = readdirSync(source);
  for (const name of wanted) {
    const file = join(target, name);
    if (!existsSync(file) || !readFileSync(file).equals(readFileSync(join(source, name)))) {
      renameSync(join(source, name), file);
    }
  }
  for (const name of readdirSync(target)) {
    if (!wanted.includes(name)) rmSync(join(target, name));
  }
}
