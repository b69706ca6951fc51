/**
 * One running code-server with a profile of its own: what `npm run web` shows and the end-to-end tests drive.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { CodeServer } from "./code_server";
import { tryCommand } from "./run_command";

export interface WorkbenchServerOptions {
  codeServer: CodeServer;
  /** Existing folder for everything the server writes: profile, extensions, home directory, log. */
  directory: string;
  /** Of what is installed into the profile. */
  vsixFiles: readonly string[];
  /** Settings of a new profile beside those for a quiet start; a profile that is there keeps its own. */
  settings: Readonly<Record<string, unknown>>;
  /** Added to the environment of the server and so of the extension host. */
  env: Readonly<Record<string, string>>;
  /** Ask whether a workspace is trusted, as the desktop does, instead of trusting every one. */
  workspaceTrust?: boolean;
  /** Let a window run tests inside its extension host, see `testUrl`. */
  inHostTests?: boolean;
}

/** Folders on the machine of the server. */
export interface InHostTests {
  /** Of an extension to load from there; without one VS Code runs no tests. */
  extension: string;
  /** Module with a function `run`. */
  tests: string;
}

const quietStart = {
  "workbench.startupEditor": "none",
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.welcomePage.walkthroughs.openOnInstall": false,
  "telemetry.telemetryLevel": "off",
  "extensions.autoUpdate": false,
  "extensions.autoCheckUpdates": false,
  "extensions.ignoreRecommendations": true,
};

/** Milliseconds a hanging server may take to start or to end before it counts as broken. */
const patience = 60_000;

export class WorkbenchServer {
  /** Resolves when the server has ended, for whatever reason. */
  readonly ended: Promise<void>;

  private constructor(
    /** Such as `http://127.0.0.1:40123`. */
    readonly origin: string,
    readonly logFile: string,
    private readonly child: ChildProcess,
  ) {
    const running = child.exitCode === null && child.signalCode === null;
    this.ended = new Promise((resolve) => {
      if (!running) resolve();
      child.once("exit", () => {
        resolve();
      });
    });
  }

  /** Installs the extensions into the profile and starts a server on a free port of this machine only. */
  static async start(options: WorkbenchServerOptions): Promise<WorkbenchServer> {
    const { codeServer, directory } = options;
    const userData = join(directory, "user-data");
    const extensions = join(directory, "extensions");
    const home = join(directory, "home");
    const profile = ["--user-data-dir", userData, "--extensions-dir", extensions];
    const env: NodeJS.ProcessEnv = { ...process.env, HOME: home, ...options.env };
    // Those of an enclosing VS Code terminal would send commands to that window.
    for (const name of Object.keys(env)) if (name.startsWith("VSCODE_")) Reflect.deleteProperty(env, name);

    const settings = JSON.stringify({ ...quietStart, ...options.settings }, undefined, 2);
    // Settings of machine scope are read from the second file.
    for (const scope of ["User", "Machine"]) {
      const file = join(userData, scope, "settings.json");
      mkdirSync(dirname(file), { recursive: true });
      if (!existsSync(file)) writeFileSync(file, settings);
    }
    mkdirSync(home, { recursive: true });

    const wanted = options.vsixFiles.flatMap((file) => ["--install-extension", file]);
    const status = await tryCommand(codeServer.node, [codeServer.entry, ...profile, ...wanted], { env });
    if (status !== 0) throw new Error(`${options.vsixFiles.join(" or ")} could not be installed (status ${status})`);

    const logFile = join(directory, "code-server.log");
    const child = spawn(
      codeServer.node,
      [
        codeServer.entry,
        ...profile,
        ...["--auth", "none", "--bind-addr", "127.0.0.1:0", "--disable-telemetry", "--disable-update-check"],
        ...["--disable-getting-started-override", "--reconnection-grace-time", "1"],
        ...(options.workspaceTrust ? [] : ["--disable-workspace-trust"]),
        ...(options.inHostTests ? ["--vscode-option", "enable-smoke-test-driver"] : []),
      ],
      // Its own process group, so that `stop` reaches the extension hosts as well.
      { env, detached: true, stdio: ["ignore", "pipe", "pipe"] },
    );
    const log = createWriteStream(logFile);
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    const server = (origin: string): WorkbenchServer => new WorkbenchServer(origin, logFile, child);
    try {
      return server(await listening(child));
    } catch (error) {
      await server("").stop();
      throw new Error(`code-server did not start:\n${readFileSync(logFile, "utf8")}`, { cause: error });
    }
  }

  url(workspace: string): string {
    return `${this.origin}/?folder=${encodeURIComponent(workspace)}`;
  }

  /** A window that runs tests in its extension host as soon as it is open. */
  testUrl(workspace: string, { extension, tests }: InHostTests): string {
    const remote = (path: string): string => `vscode-remote://${new URL(this.origin).host}${path}`;
    const payload = [
      ["extensionDevelopmentPath", remote(extension)],
      ["extensionTestsPath", remote(tests)],
    ];
    return `${this.url(workspace)}&payload=${encodeURIComponent(JSON.stringify(payload))}`;
  }

  /** Ends the server and its extension hosts. The engine host is not among them: it outlives windows by design. */
  async stop(): Promise<void> {
    const group = this.child.pid;
    if (group === undefined) return;
    signalGroup(group, "SIGTERM");
    await Promise.race([this.ended, delay(patience / 6, undefined, { ref: false })]);
    signalGroup(group, "SIGKILL");
    await this.ended;
  }
}

/** Resolves with the origin the server printed. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(() => {
      reject(new Error(`no address within ${patience} ms`));
    }, patience);
    child.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      const origin = /server listening on (http:\/\/[\d.]+:\d+)/i.exec(output)?.[1];
      if (!origin) return;
      clearTimeout(timer);
      resolve(origin);
    });
    child.once("error", reject);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`ended with status ${code ?? "unknown"}`));
    });
  });
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // No process of the group is left.
  }
}
