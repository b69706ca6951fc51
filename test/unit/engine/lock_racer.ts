/**
 * Started by the tests as a process of its own: `LOCK GO` tries to take the lock as soon as the file GO appears. Prints
 * `ready`, then `won` or `lost`, and lives until its standard input ends.
 */
import { existsSync } from "node:fs";
import { tryProcessLock } from "../../../src/engine/process_lock";

const [lock = "", go = ""] = process.argv.slice(2);
process.stdout.write("ready\n");
// Spins, so that all racers go at the same moment.
while (!existsSync(go));
process.stdout.write(tryProcessLock(lock) ? "won\n" : "lost\n");
process.stdin.resume();
