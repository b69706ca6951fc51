import { Worker } from "node:worker_threads";

/** What the watchdog's thread is started with. */
export interface WatchdogTask {
  hungMs: number;
  logFile: string;
}

export interface WatchdogOptions extends WatchdogTask {
  /** The bundle of watchdog_main.ts. */
  script: string;
  /** Ids of the processes that the host serves now. */
  clients: () => number[];
  log: (line: string) => void;
}

const beatMs = 1_000;

/**
 * Starts the thread that ends this process when its event loop hangs and nobody is left who could ask it to end: a driver that
 * does not return from a call on the main thread would hold the card's memory for ever. It gets a sign of life every second,
 * the clients of that moment. While one of their processes lives, it is the user who decides (a restart kills the host).
 * Returns what gives one more: for a new client, because its first request may be what hangs.
 */
export function startWatchdog({ script, hungMs, logFile, clients, log }: WatchdogOptions): () => void {
  const workerData: WatchdogTask = { hungMs, logFile };
  const watchdog = new Worker(script, { workerData });
  watchdog.unref();
  watchdog.on("error", (failure) => {
    log(`there is no watchdog: ${String(failure)}`);
  });
  const beat = (): void => {
    watchdog.postMessage(clients());
  };
  setInterval(beat, beatMs).unref();
  return beat;
}
