/**
 * Entry point of the engine host process: `engine_host.cjs --extension-root DIR`. Exits with 0 when another host of
 * this user is alive, which is then the one to talk to, and with 1 when it cannot start; the log says why.
 *
 * Environment: `NMOS_HOME` puts all folders below one, `NMOS_HOST_GRACE_MS` is how long it stays without a client,
 * `NMOS_HOST_HUNG_MS` how long it may hang when its clients have gone.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { version } from "../../../package.json";
import { enginePaths } from "../paths";
import { EngineHost } from "./engine_host";
import { HostLog } from "./host_log";
import { startWatchdog } from "./watchdog";

const usualGraceMs = 30_000;
const usualHungMs = 60_000;

const paths = enginePaths();
const hostLog = new HostLog({ path: paths.logFile });
const log = (line: string): void => {
  hostLog.write(line);
};

function millisecondsOf(variable: string, usual: number, least = 0): number {
  const given = Number(process.env[variable] || usual);
  return Number.isFinite(given) && given >= least ? given : usual;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { "extension-root": { type: "string" } } });
  const extensionRoot = values["extension-root"];
  if (!extensionRoot) throw new Error("Expected --extension-root DIR.");
  let beat = (): void => undefined;
  const host = await EngineHost.start({
    paths,
    extensionRoot,
    hostVersion: version,
    graceMs: millisecondsOf("NMOS_HOST_GRACE_MS", usualGraceMs),
    log,
    onClient: () => {
      beat();
    },
    onEnd: (isClosed) => {
      if (isClosed) process.exit(0);
      endAtOnce();
    },
  });
  if (!host) process.exit(0);
  beat = startWatchdog({
    script: resolve(extensionRoot, "dist", "host_watchdog.cjs"),
    logFile: paths.logFile,
    hungMs: millisecondsOf("NMOS_HOST_HUNG_MS", usualHungMs, 1),
    clients: () => host.clientProcesses(),
    log,
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      void host.end(signal);
    });
  }
}

/** An ordinary exit waits for the addon's threads, which may hang in a driver, or compute for minutes in its compiler. */
function endAtOnce(): void {
  process.kill(process.pid, "SIGKILL");
}

function logFailure(what: string, thrown: unknown): void {
  log(`${what}: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`);
}

/** After an error that nobody expected the state is unknown: end, and let the clients start a new host. */
function fatal(what: string, thrown: unknown): void {
  logFailure(what, thrown);
  endAtOnce();
}

process.on("uncaughtException", (thrown) => {
  fatal("uncaught", thrown);
});
process.on("unhandledRejection", (thrown) => {
  fatal("unhandled rejection", thrown);
});

main().catch((thrown: unknown) => {
  logFailure("cannot start", thrown);
  // Nothing native computes before the first request.
  process.exit(1);
});
