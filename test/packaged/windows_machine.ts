import { spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, join, relative, win32 } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ensureWindowsNode } from "../../scripts/setup/windows_node";
import { ensureWine, wineEnvironment, type Wine } from "../../scripts/setup/wine";

export interface Ending {
  /** Null when the program did not end in time and was killed. */
  status: number | null;
  /** Both streams. */
  output: string;
}

/** Milliseconds that a program may take before it counts as hung, and that all of them may take to be gone. */
const programPatience = 480_000;
const goodbyePatience = 60_000;
const pollMs = 500;

/** Has Wine load the Visual C++ runtime from files alone, not its own one in its place: a new Windows has none either. */
const withoutRuntime = "msvcp140,vcruntime140,vcruntime140_1=n";

/**
 * A Windows of one test file: this machine itself, or Wine with a drive C of its own. Closing it ends every process that
 * it has started and removes what they wrote.
 */
export class WindowsMachine {
  private readonly end = (): void => {
    if (this.wine)
      spawnSync(this.wine.server, ["-k"], { env: wineEnvironment(this.scratch), timeout: goodbyePatience });
  };

  private constructor(
    private readonly scratch: string,
    private readonly node: string,
    private readonly wine: Wine | null,
  ) {
    // Also when the tests are broken off.
    process.once("exit", this.end);
  }

  static async start(): Promise<WindowsMachine> {
    const scratch = mkdtempSync(join(tmpdir(), "nmos-windows-"));
    if (process.platform === "win32") return new WindowsMachine(scratch, process.execPath, null);
    const wine = await ensureWine();
    copyPrefix(wine.template, scratch);
    return new WindowsMachine(scratch, await ensureWindowsNode(), wine);
  }

  /** Whether it has no Visual C++ runtime of its own; of a real one nobody knows. */
  get hasNoRuntime(): boolean {
    return this.wine !== null;
  }

  /** A folder of a user whose name has a blank, an umlaut and Chinese characters; as this process sees it. */
  get profile(): string {
    const users = this.wine ? join(this.scratch, "drive_c", "users") : this.scratch;
    const directory = join(users, "Jörg Müller 张伟");
    mkdirSync(directory, { recursive: true });
    return directory;
  }

  /** How programs of Windows name a file below the profile, or elsewhere on this machine. */
  pathOf(path: string): string {
    if (!this.wine) return path;
    const inside = relative(join(this.scratch, "drive_c"), path);
    return inside.startsWith("..") ? win32.join("Z:\\", path) : win32.join("C:\\", inside);
  }

  /** Runs Node, in a folder that is the first one on the PATH as well. */
  run(args: readonly string[], folder: string): Promise<Ending> {
    return this.runProgram([this.node, ...args], folder);
  }

  /** The same for any program of Windows. `environment` is added to that of the machine. */
  async runProgram(
    command: readonly string[],
    folder: string,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Ending> {
    const outputFile = join(this.scratch, "output.txt");
    // Into a file: with a pipe, Node stops under Wine.
    const output = openSync(outputFile, "w");
    try {
      const [program = "", ...args] = this.wine ? [this.wine.program, ...command] : command;
      const child = spawn(program, args, {
        cwd: folder,
        env: { ...this.environment(this.pathOf(folder)), ...environment },
        stdio: ["ignore", output, output],
        windowsHide: true,
      });
      const status = await new Promise<number | null>((resolve, reject) => {
        const hung = setTimeout(() => {
          child.kill("SIGKILL");
          this.end();
        }, programPatience);
        child.on("error", reject);
        child.on("exit", (code) => {
          clearTimeout(hung);
          resolve(code);
        });
      });
      return { status, output: readFileSync(outputFile, "utf8") };
    } finally {
      closeSync(output);
    }
  }

  /** Resolves with whether every process that was started here ends by itself, after a minute at most. */
  allEnd(): Promise<boolean> {
    const { wine } = this;
    if (!wine) return this.noneIsLeft();
    return new Promise((resolve, reject) => {
      const waiting = spawn(wine.server, ["-w"], {
        env: wineEnvironment(this.scratch),
        stdio: "ignore",
        timeout: goodbyePatience,
      });
      waiting.on("error", reject);
      waiting.on("exit", (code) => {
        resolve(code === 0);
      });
    });
  }

  /** Of Windows itself: all that is started here is told a path below the scratch folder. */
  private async noneIsLeft(): Promise<boolean> {
    const deadline = Date.now() + goodbyePatience;
    for (;;) {
      const left = processesNaming(basename(this.scratch));
      if (left === 0) return true;
      if (Date.now() > deadline) return false;
      await delay(pollMs);
    }
  }

  async close(): Promise<void> {
    this.end();
    await this.allEnd();
    process.removeListener("exit", this.end);
    rmSync(this.scratch, { recursive: true, force: true, maxRetries: 5 });
  }

  private environment(folder: string): NodeJS.ProcessEnv {
    if (!this.wine) return { ...process.env, PATH: [folder, process.env["PATH"]].join(delimiter) };
    const environment = wineEnvironment(this.scratch);
    const overrides = [environment["WINEDLLOVERRIDES"], withoutRuntime].join(";");
    return { ...environment, WINEDLLOVERRIDES: overrides, WINEPATH: folder };
  }
}

/** Number of processes of this Windows whose command line holds the text. */
function processesNaming(text: string): number {
  // In a variable, because PowerShell's own command line would hold it otherwise.
  const script =
    "@(Get-CimInstance Win32_Process | Where-Object { $_.CommandLine -and $_.CommandLine.Contains($env:NMOS_SOUGHT) }).Count";
  const { status, stdout, stderr } = spawnSync(
    "powershell.exe",
    ["-NoProfile", "-NonInteractive", "-Command", script],
    {
      encoding: "utf8",
      env: { ...process.env, NMOS_SOUGHT: text },
      timeout: goodbyePatience,
      windowsHide: true,
    },
  );
  const count = Number.parseInt(stdout, 10);
  if (status === 0 && Number.isInteger(count)) return count;
  throw new Error(`PowerShell does not list the processes (${String(status)}): ${stderr || stdout}`);
}

/** The registry and the folders of users are copied; the system's own folder is shared: 700 MB that nobody changes. */
function copyPrefix(template: string, target: string): void {
  const system = join("drive_c", "windows");
  for (const name of readdirSync(template)) {
    cpSync(join(template, name), join(target, name), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => relative(template, path) !== system,
    });
  }
  symlinkSync(join(template, system), join(target, system));
}
