/**
 * Entry point of the engine host process: `engine_host.cjs --extension-root DIR`. Exits with 0 when another host of
 * this user is alive, which is then the one to talk to, and with 1 when it cannot start; the log says why.
 *
 * Environment: `NMOS_HOME` puts all folders below one, `NMOS_HOST_GRACE_MS` is how long it stays without a client.
 */
import { parseArgs } from "node:util";
import { version } from "../../../package.json";
import { enginePaths } from "../paths";
import { EngineHost } from "./engine_host";
import { HostLog } from "./host_log";

const usualGraceMs = 30_000;

const paths = enginePaths();
const hostLog = new HostLog({ path: paths.logFile });
const log = (line: string): void => {
  hostLog.write(line);
};

function graceMs(): number {
  const given = Number(process.env["NMOS_HOST_GRACE_MS"] || usualGraceMs);
  return Number.isFinite(given) && given >= 0 ? given : usualGraceMs;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { "extension-root": { type: "string" } } });
  const extensionRoot = values["extension-root"];
  if (!extensionRoot) throw new Error("Expected --extension-root DIR.");
  const host = await EngineHost.start({
    paths,
    extensionRoot,
    hostVersion: version,
    graceMs: graceMs(),
    log,
    onEnd: () => process.exit(0),
  });
  if (!host) process.exit(0);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      void host.end(signal);
    });
  }
}

/** After an error that nobody expected the state is unknown: end, and let the clients start a new host. */
function fatal(what: string, thrown: unknown): never {
  log(`${what}: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`);
  process.exit(1);
}

process.on("uncaughtException", (thrown) => fatal("uncaught", thrown));
process.on("unhandledRejection", (thrown) => fatal("unhandled rejection", thrown));

main().catch((thrown: unknown) => fatal("cannot start", thrown));
