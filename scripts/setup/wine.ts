/**
 * Wine, which runs programs of Windows on Linux, and a fresh Windows for it (its "prefix": registry and drive C).
 */
import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "./cache";
import { installDebianPackages } from "./debian_packages";
import { fillOnce } from "./fill_once";
import { findCommand } from "./find_command";
import { MissingTool } from "./missing_tool";

export interface Wine {
  /** Starts a program of Windows. */
  program: string;
  /** Ends (`-k`) and waits for (`-w`) all programs of a prefix. */
  server: string;
  /** A prefix that says it is Windows 10. To be copied and left as it is: programs write into theirs. */
  template: string;
}

/** Debian puts both here, and names for them on the PATH only with another package. */
const debianDirectory = "/usr/lib/wine";

/** Milliseconds that making a prefix may take before it counts as hung; it takes seconds. */
const patience = 300_000;

/** Finds or installs Wine and makes its prefix, once. Throws MissingTool where there can be none. */
export async function ensureWine(): Promise<Wine> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new MissingTool(`Wine is set up on linux-x64 only, this is ${process.platform}-${process.arch}`);
  }
  const found = findWine() ?? (await installWine());
  const template = await fillOnce(join(cacheDirectory("wine"), "windows-10"), (target) => {
    console.log("Making a prefix for Wine ...");
    setUp(found, target, "wineboot", "--init");
    setUp(found, target, "reg", "add", "HKCU\\Software\\Wine", "/v", "Version", "/d", "win10", "/f");
    // It writes the registry when the last program has ended.
    spawnSync(found.server, ["-w"], { env: wineEnvironment(target), timeout: patience });
    return Promise.resolve();
  });
  return { ...found, template };
}

/** Environment in which Wine uses a prefix, quietly and without a display. */
export function wineEnvironment(prefix: string): NodeJS.ProcessEnv {
  const { PATH, HOME, USER } = process.env;
  return {
    ...{ PATH, HOME, USER },
    WINEPREFIX: prefix,
    WINEDEBUG: "-all",
    // It would offer to download .NET and a browser, and put entries into the user's menus.
    WINEDLLOVERRIDES: "mscoree,mshtml,winemenubuilder.exe=",
    // File names are UTF-8 for it only then.
    LC_ALL: "C.UTF-8",
  };
}

function findWine(): Omit<Wine, "template"> | undefined {
  const program = [findCommand("wine64", "wine"), join(debianDirectory, "wine64")].find(isThere);
  const server = [findCommand("wineserver"), join(debianDirectory, "wineserver")].find(isThere);
  return program && server ? { program, server } : undefined;
}

function isThere(path: string | undefined): path is string {
  return path !== undefined && existsSync(path);
}

async function installWine(): Promise<Omit<Wine, "template">> {
  await installDebianPackages(["wine64"], "running the package for Windows");
  const installed = findWine();
  if (!installed) throw new MissingTool(`wine64 was installed, but is neither on the PATH nor in ${debianDirectory}.`);
  return installed;
}

function setUp({ program }: Omit<Wine, "template">, prefix: string, ...command: string[]): void {
  const ended: SpawnSyncReturns<Buffer> = spawnSync(program, command, {
    env: wineEnvironment(prefix),
    // A pipe would stay open as long as the services that it starts.
    stdio: ["ignore", "ignore", "ignore"],
    timeout: patience,
  });
  if (ended.status !== 0) {
    const how = ended.error?.message ?? ended.signal ?? `status ${String(ended.status)}`;
    throw new Error(`${[program, ...command].join(" ")} ended with ${how}`);
  }
}
