import { spawn, type SpawnOptions } from "node:child_process";

export type CommandOptions = Pick<SpawnOptions, "cwd" | "env">;

/**
 * Runs a command with its output shown and standard input closed. Resolves with the exit status, also when it is
 * not 0; rejects when the command cannot be started.
 */
export function tryCommand(command: string, args: readonly string[], options: CommandOptions = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    // npm, npx and their like are .cmd files on Windows, which only a shell can start.
    const shell = process.platform === "win32" && !/[\\/]/.test(command);
    const given = shell ? args.map((arg) => (/\s/.test(arg) ? `"${arg}"` : arg)) : args;
    const child = spawn(command, given, { ...options, shell, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", reject);
    child.on("exit", (code) => {
      resolve(code ?? 1);
    });
  });
}

/** As `tryCommand`, but rejects when the exit status is not 0. */
export async function runCommand(command: string, args: readonly string[], options?: CommandOptions): Promise<void> {
  const status = await tryCommand(command, args, options);
  if (status !== 0) throw new Error(`${[command, ...args].join(" ")} ended with status ${status}`);
}
