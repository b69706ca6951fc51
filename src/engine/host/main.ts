/**
 * Entry point of the engine host process: `engine_host.cjs --extension-root DIR`. Standard output and error are the
 * log file. Exits with 0 when another host of this user is alive, which is then the one to talk to.
 */
import { parseArgs } from "node:util";
import { version } from "../../../package.json";
import { enginePaths } from "../paths";
import { EngineHost } from "./engine_host";

const defaultGraceMs = 30_000;

function log(line: string): void {
  process.stdout.write(`${new Date().toISOString()} [${String(process.pid)}] ${line}\n`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { "extension-root": { type: "string" } } });
  const extensionRoot = values["extension-root"];
  if (!extensionRoot) throw new Error("Expected --extension-root DIR.");
  const host = await EngineHost.start({
    paths: enginePaths(),
    extensionRoot,
    hostVersion: version,
    graceMs: Number(process.env["NMOS_HOST_GRACE_MS"]) || defaultGraceMs,
    log,
    onEnd: () => {
      process.exit(0);
    },
  });
  if (!host) process.exit(0);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      void host.end(signal);
    });
  }
}

process.on("uncaughtException", (thrown) => {
  log(`uncaught: ${thrown.stack ?? String(thrown)}`);
});
process.on("unhandledRejection", (thrown) => {
  log(`unhandled rejection: ${String(thrown)}`);
});

main().catch((thrown: unknown) => {
  log(`cannot start: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`);
  process.exit(1);
});
