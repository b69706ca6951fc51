import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { reachHost } from "../../../src/engine/client/reach_host";
import { afterEach, describe, expect, it, vi } from "vitest";
import { toEngineError } from "../../../src/shared/errors";
import { itOnPosix } from "../support/on_systems";
import { HostFixture } from "./host_fixture";
import { codeOf } from "./host_scene";

const patience = { timeout: 60_000, interval: 20 };

/** Milliseconds that processes are stopped for, longer than every period of the host that the tests make short. */
const sleepMs = 1_500;

/** Milliseconds; a limit for hangs. */
const sleepTimeout = 120_000;

let fixture: HostFixture;

afterEach(() => {
  fixture.dispose();
});

itOnPosix(
  "processes that sleep with the machine go on where they were",
  async () => {
    fixture = await HostFixture.create({ NMOS_HOST_GRACE_MS: "200" });
    const script = resolve("test/unit/engine/sleeping_window.ts");
    const child = spawn(process.execPath, ["--import", "tsx", script, resolve("."), fixture.model, "/count 300"], {
      stdio: ["ignore", "pipe", "inherit"],
      env: fixture.env,
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const ended = new Promise((resolve) => child.on("exit", resolve));
    await vi.waitUntil(() => output.includes("began"), patience);
    const host = Number(fixture.hostPid());
    const all = [Number(child.pid), host];
    for (const pid of all) process.kill(pid, "SIGSTOP");
    await delay(sleepMs);
    for (const pid of all) process.kill(pid, "SIGCONT");
    await ended;
    const { text, states } = JSON.parse(output.split("\n")[1] ?? "") as { text: string; states: string[] };
    expect(text).toMatch(/^1 2 .* 300 $/);
    expect(states).toEqual(["starting", "running"]);
    expect(fixture.log()).not.toMatch(/ending|uncaught|unhandled/);
  },
  sleepTimeout,
);

itOnPosix(
  "processes that sleep with the machine are no reason for a window to start a second host",
  async () => {
    fixture = await HostFixture.create();
    const [one, other] = [fixture.client(), fixture.client()];
    const { hostPid } = await one.request("engine/status", { startEngine: true });
    process.kill(hostPid, "SIGSTOP");
    const asked = other.request("engine/status", { startEngine: true });
    await delay(sleepMs);
    process.kill(hostPid, "SIGCONT");
    expect((await asked).hostPid).toBe(hostPid);
    expect((await one.request("engine/status", { startEngine: true })).hostPid).toBe(hostPid);
  },
  sleepTimeout,
);

it("a machine that sleeps while its host starts still reaches it", async () => {
  fixture = await HostFixture.create();
  const { paths, env } = fixture;
  let looks = 0;
  const { logFile, runtime: directory } = paths;
  const host = { extensionRoot: resolve("."), execPath: process.execPath, env, logFile, directory };
  // An hour passes between the first look at the clock and the second.
  const socket = await reachHost(paths, host, () => Date.now() + (looks++ === 0 ? 0 : 60 * 60_000));
  socket.destroy();
  expect(fixture.hostPid()).not.toBeNull();
});

describe("a card that was lost", () => {
  it("fails its request in words, and another host computes the next one", async () => {
    fixture = await HostFixture.create();
    const client = fixture.client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    const failure = await client
      .request("chat/generate", fixture.chat("/fail DEVICE_FAILED"))
      .then(() => null, toEngineError);
    expect(failure?.code).toBe("DEVICE_FAILED");
    expect(failure?.message).toContain("failed as asked for");
    expect((await client.request("chat/generate", fixture.chat("/count 2"))).text).toBe("1 2 ");
    expect(fixture.hostPid()).not.toBe(hostPid);
    expect(fixture.log()).toContain("ending: failed as asked for");
    expect(client.states.map(({ kind }) => kind)).not.toContain("failed");
  });

  it("again and again is tried only after a while", async () => {
    fixture = await HostFixture.create();
    const client = fixture.client();
    for (let failures = 0; failures < 3; ++failures) {
      expect(await codeOf(client.request("chat/generate", fixture.chat("/fail DEVICE_FAILED")))).toBe("DEVICE_FAILED");
      await vi.waitUntil(() => client.state.kind !== "running", patience);
    }
    expect(client.state.kind).toBe("failed");
    expect(await codeOf(client.request("chat/generate", fixture.chat("/count 2")))).toBe("ENGINE_UNAVAILABLE");
  });
});
