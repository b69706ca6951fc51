import { createConnection, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { EngineError } from "../../shared/errors";
import type { Paths } from "../paths";
import { AwakeClock } from "../awake_clock";
import { ensurePrivatePlace } from "../private_directory";
import { logTail, startHostProcess, type HostProcessOptions } from "./host_process";

const startTimeoutMs = 20_000;
const connectRetryMs = 40;

/** What takes longer between two looks for the host is the machine, which slept, and the host with it. */
export const longestStepMs = 1_000;

/** A host that found another one ends at once; after this time without an answer from either it is tried again. */
const startAgainMs = 250;

/**
 * Connects to the host of this user, starting one when there is none. Several clients may do so at once: each starts a
 * process, one of them gets the lock, the others end. Throws `ENGINE_UNAVAILABLE`, with the last lines of the log, and
 * `UNAUTHORIZED` when the folder of the endpoint is not this user's alone. `read`: the system's clock, in milliseconds.
 */
export async function reachHost(
  paths: Paths,
  start: HostProcessOptions,
  read: () => number = Date.now,
): Promise<Socket> {
  ensurePrivatePlace(paths);
  const running = await tryConnect(paths.endpoint);
  if (running) return running;
  let host = startHostProcess(start);
  const clock = new AwakeClock(read, longestStepMs);
  let startedAt = 0;
  while (clock.now() < startTimeoutMs) {
    await delay(connectRetryMs);
    const socket = await tryConnect(paths.endpoint);
    if (socket) return socket;
    if (!host.ended) continue;
    if (host.ended.code !== 0) {
      const how = host.ended.signal ?? `status ${String(host.ended.code)}`;
      throw unavailable(`The engine host ended with ${how} before it answered.`, paths);
    }
    // Status 0: it found another host, which either answers soon or is just ending and leaves its place free.
    if (clock.now() - startedAt > startAgainMs) {
      host = startHostProcess(start);
      startedAt = clock.now();
    }
  }
  throw unavailable(`The engine host did not answer within ${String(startTimeoutMs / 1000)} s.`, paths);
}

/** A connected socket, or null when nobody listens there. */
function tryConnect(endpoint: string): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = createConnection(endpoint);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", () => {
      resolve(null);
    });
  });
}

function unavailable(what: string, { logFile }: Paths): EngineError {
  return new EngineError("ENGINE_UNAVAILABLE", `${what} ${logTail(logFile, 3)}`.trimEnd());
}
