import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { reachHost } from "../../../src/engine/client/reach_host";
import { Silence } from "../../../src/engine/host/silence";
import { proofOf } from "../../../src/engine/ipc/mutual_proof";
import { processExists } from "../../../src/engine/process_identity";
import { toEngineError } from "../../../src/shared/errors";
import { HostFixture } from "./host_fixture";
import { rawConnection, sayHello } from "./raw_connection";

/** Of waiting for a process to go; a host that closes gives a driver ten seconds. */
const patience = { timeout: 25_000, interval: 20 };

let fixture: HostFixture;
let pid = 0;

afterEach(() => {
  // Also one that has given its lock up and does not end.
  if (pid > 0 && processExists(pid)) process.kill(pid, "SIGKILL");
  pid = 0;
  fixture.dispose();
});

async function start(environment: Record<string, string>) {
  fixture = await HostFixture.create({ NMOS_HOST_GRACE_MS: "50", ...environment });
  const client = fixture.client();
  pid = (await client.request("engine/status", { startEngine: true })).hostPid;
  return client;
}

const goes = () => vi.waitUntil(() => !processExists(pid), patience);

describe("a native engine that hangs in a driver does not keep the host", () => {
  it("when its last client has gone", async () => {
    const client = await start({ NMOS_FAKE_STUCK: "1" });
    client.dispose();
    await goes();
    expect(fixture.log()).toContain("the native engine is not closed after 10 s");
    // It never gave its place up before it had gone.
    expect(readFileSync(fixture.paths.lockFile, "utf8")).toContain(String(pid));
    const next = await fixture.client().request("engine/status", { startEngine: true });
    expect(next.hostPid).not.toBe(pid);
  });

  it("when nobody expected an error", async () => {
    const client = await start({ NMOS_FAKE_STUCK: "1" });
    const failed = client.request("chat/generate", fixture.chat("/throw")).then(() => null, toEngineError);
    await goes();
    expect((await failed)?.code).toBe("ENGINE_DIED");
    expect(fixture.log()).toContain("uncaught: Error: thrown as asked for");
  });
});

describe("a host whose event loop hangs", () => {
  /** The only client of a new host, by its own account of another process. Its connection stays open. */
  async function windowOf(clientPid: number) {
    fixture = await HostFixture.create({ NMOS_HOST_HUNG_MS: "3000" });
    const { logFile, runtime: directory } = fixture.paths;
    const program = { extensionRoot: resolve("."), execPath: process.execPath };
    (await reachHost(fixture.paths, { ...program, env: fixture.env, logFile, directory })).destroy();
    const raw = await rawConnection(fixture.paths.endpoint);
    const { nonces } = await sayHello(raw.request);
    const proof = proofOf("client", readFileSync(fixture.paths.tokenFile, "utf8"), nonces);
    pid = (await raw.request("initialize", { proof, client: { name: "window", pid: clientPid } })).hostPid;
    return raw;
  }

  it("is ended when the processes of its clients have gone", async () => {
    const gone = await windowOf(spawnSync(process.execPath, ["-e", ""]).pid);
    const failed = gone.request("chat/generate", fixture.chat("/hang")).then(() => null, toEngineError);
    await goes();
    expect((await failed)?.code).toBe("ENGINE_DIED");
    expect(fixture.log()).toContain("hangs for 3000 ms and has no client left");
  });

  it("stays while the process of a client lives, which asks right after it was let in", async () => {
    const living = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1000)"], { stdio: "ignore" });
    try {
      const window = await windowOf(Number(living.pid));
      const failed = window.request("chat/generate", fixture.chat("/hang")).then(() => null, toEngineError);
      await delay(5_000);
      expect(processExists(pid)).toBe(true);
      living.kill("SIGKILL");
      await goes();
      expect((await failed)?.code).toBe("ENGINE_DIED");
    } finally {
      living.kill("SIGKILL");
    }
  });

  it("may not be told to hang for no time at all", async () => {
    const client = await start({ NMOS_HOST_GRACE_MS: "", NMOS_HOST_HUNG_MS: "0" });
    client.dispose();
    // Longer than the watchdog waits between two looks.
    await delay(2_000);
    expect(processExists(pid)).toBe(true);
  });
});

describe("silence of an event loop", () => {
  const [here, gone] = [1, 2];
  const isThere = (process: number) => process === here;

  it.each<[what: string, clients: number[], beats: (silence: Silence) => boolean[], expected: boolean[]]>([
    ["is hopeless after its time", [], (of) => [1000, 1000, 1000].map((ms) => of.pass(ms)), [false, false, true]],
    ["is so with clients that have gone", [gone], (of) => [of.pass(3000)], [true]],
    ["is not while one of them is there", [gone, here], (of) => [of.pass(3000), of.pass(9000)], [false, false]],
    [
      "begins anew with a sign of life",
      [],
      (of) => {
        const before = of.pass(2000);
        of.heard([]);
        return [before, of.pass(2000)];
      },
      [false, false],
    ],
  ])("%s", (_, clients, beats, expected) => {
    const silence = new Silence(3000, isThere);
    silence.heard(clients);
    expect(beats(silence)).toEqual(expected);
  });
});
