import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { clockOfProcesses, isAlive, ownIdentity } from "../../../src/engine/process_identity";
import { lockHolder, tryProcessLock } from "../../../src/engine/process_lock";
import { temporaryDirectories } from "../models/temporary_directory";

const directory = temporaryDirectories();

describe("a lock", () => {
  it("is held by one, and free again afterwards", () => {
    const path = join(directory(), "lock");
    const first = tryProcessLock(path);
    expect(first?.stillHeld()).toBe(true);
    expect(tryProcessLock(path)).toBeNull();
    expect(lockHolder(path)).toBe(process.pid);
    first?.dispose();
    expect(lockHolder(path)).toBeNull();
    expect(tryProcessLock(path)).not.toBeNull();
  });

  it.each<[name: string, content: () => string, taken: boolean]>([
    ["a process that has ended", () => `${String(spawnSync(process.execPath, ["-e", ""]).pid)} 1`, true],
    ["this process's number, begun at another time", () => `${String(process.pid)} 1`, true],
    ["no identity at all", () => "hello", true],
    ["a file that is being written", () => "", false],
    ["this process", ownIdentity, false],
  ])("with the file of %s", (_, content, taken) => {
    const path = join(directory(), "lock");
    writeFileSync(path, content());
    expect(tryProcessLock(path) !== null).toBe(taken);
  });

  it("with an empty file whose writer died is taken", () => {
    const path = join(directory(), "lock");
    writeFileSync(path, "");
    utimesSync(path, new Date(0), new Date(0));
    expect(tryProcessLock(path)).not.toBeNull();
  });

  it.each<[name: string, taker: () => string]>([
    ["this process, whose removal of it failed", ownIdentity],
    ["a process that has ended", () => `${String(spawnSync(process.execPath, ["-e", ""]).pid)} 1`],
  ])("of a dead process is taken over although the right to do so is left over from %s", (_, taker) => {
    const path = join(directory(), "lock");
    writeFileSync(path, "1 1");
    writeFileSync(`${path}.takeover`, taker());
    expect(tryProcessLock(path)).not.toBeNull();
    expect(existsSync(`${path}.takeover`)).toBe(false);
  });

  it("that somebody deleted is not removed from its next holder", () => {
    const path = join(directory(), "lock");
    const first = tryProcessLock(path);
    rmSync(path);
    expect(first?.stillHeld()).toBe(false);
    writeFileSync(path, "another");
    first?.dispose();
    expect(readFileSync(path, "utf8")).toBe("another");
  });

  it("of many processes that find the same dead one goes to exactly one", { timeout: 120_000 }, async () => {
    const path = join(directory(), "lock");
    writeFileSync(path, `${String(spawnSync(process.execPath, ["-e", ""]).pid)} 1`);
    const go = join(directory(), "go");
    const racers = Array.from({ length: 6 }, () => {
      const child = spawn(process.execPath, ["--import", "tsx", resolve("test/unit/engine/lock_racer.ts"), path, go], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      const racer = { child, output: "" };
      child.stdout.on("data", (chunk: Buffer) => (racer.output += chunk.toString()));
      return racer;
    });
    const all = (pattern: RegExp) => racers.every(({ output }) => pattern.test(output));
    await vi.waitUntil(() => all(/ready/), { timeout: 60_000 });
    writeFileSync(go, "");
    await vi.waitUntil(() => all(/won|lost/), { timeout: 60_000 });
    for (const { child } of racers) child.stdin.end();
    expect(racers.filter(({ output }) => output.includes("won"))).toHaveLength(1);
    expect(existsSync(path)).toBe(true);
  });
});

describe("an identity", () => {
  it.each<[identity: () => string, alive: boolean]>([
    [ownIdentity, true],
    [() => `${String(process.pid)} 0`, false],
    [() => "", false],
    [() => "0 0", false],
    [() => "-1 5", false],
    [() => String(process.pid), false],
    [() => "4194304 1", false],
  ])("case %#", (identity, alive) => {
    expect(isAlive(identity())).toBe(alive);
  });
});

it.each<[platform: NodeJS.Platform, env: Record<string, string>, program: string]>([
  ["win32", { SystemRoot: "D:\\Windows" }, "D:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"],
  ["win32", {}, "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"],
  ["darwin", {}, "/bin/ps"],
])("a process's begin is asked of a program of the system, never of one on the PATH: %s", (platform, env, program) => {
  expect(clockOfProcesses(platform, env)).toBe(program);
});
