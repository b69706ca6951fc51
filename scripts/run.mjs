/**
 * `node scripts/run.mjs NAME [arguments]`: what `npm start`, `npm test` and the others call.
 *
 * Runs on a fresh clone, so it may import nothing but Node: installs the dependencies when the lock file has
 * changed since the last time, then hands over to scripts/NAME.ts.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [name, ...args] = process.argv.slice(2);
const script = join(root, "scripts", `${name}.ts`);

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`NMOS needs Node 20.19 or later to build, this is ${process.versions.node}. Install a newer Node.`);
  process.exit(1);
}
if (!name || !existsSync(script)) {
  console.error(`expected the name of a script in scripts/, got ${name ?? "nothing"}`);
  process.exit(1);
}

const lock = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
const stamp = join(root, "node_modules", ".nmos-lock");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
  console.log("Installing dependencies (npm ci) ...");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const installed = spawnSync(npm, ["ci"], { cwd: root, stdio: "inherit", shell: process.platform === "win32" });
  if (installed.status !== 0) process.exit(installed.status ?? 1);
  writeFileSync(stamp, lock);
}

const run = spawn(process.execPath, ["--import", "tsx", script, ...args], { cwd: root, stdio: "inherit" });
// Ctrl-C reaches the whole foreground group: the script decides what it means and this process waits for it.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => run.kill("SIGTERM"));
run.on("exit", (status, signal) => {
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  } else {
    process.exitCode = status ?? 1;
  }
});
