/**
 * The watchdog's thread in the engine host's process; see watchdog.ts. It has its own event loop, so that it runs on while
 * that of the host hangs in native code.
 */
import { parentPort, workerData } from "node:worker_threads";
import { processExists } from "../process_identity";
import { HostLog } from "./host_log";
import { Silence } from "./silence";
import type { WatchdogTask } from "./watchdog";

const lookMs = 500;

const { hungMs, logFile } = workerData as WatchdogTask;
const silence = new Silence(hungMs, processExists);

parentPort?.on("message", (clients: number[]) => {
  silence.heard(clients);
});
setInterval(() => {
  if (!silence.pass(lookMs)) return;
  new HostLog({ path: logFile }).write(`hangs for ${String(hungMs)} ms and has no client left: ended by its watchdog`);
  process.kill(process.pid, "SIGKILL");
}, lookMs);
