import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { toEngineError } from "../../../src/shared/errors";
import { itOnLinux, itOnPosix } from "../support/on_systems";
import { codeOf, hostScene, patience } from "./host_scene";

const { start, fixture } = hostScene();

describe("start", () => {
  it("happens with the first request, once for clients that ask at the same time", async () => {
    await start();
    const clients = Array.from({ length: 4 }, () => fixture().client());
    expect(fixture().hostPid()).toBeNull();
    const statuses = await Promise.all(clients.map((one) => one.request("engine/status", { startEngine: true })));
    expect(new Set(statuses.map(({ hostPid }) => hostPid))).toEqual(new Set([fixture().hostPid()]));
    const { clients: connected } = (await clients[0]?.request("engine/status", { startEngine: true })) ?? {
      clients: 0,
    };
    expect(connected).toBe(4);
  });

  itOnPosix("leaves what others may not read or write", async () => {
    await (await start()).client().request("engine/status", { startEngine: true });
    const { tokenFile, endpoint, socketDirectory, runtime, logFile } = fixture().paths;
    const modes = [tokenFile, endpoint, socketDirectory ?? runtime, runtime, logFile].map(
      (path) => statSync(path).mode & 0o777,
    );
    expect(modes).toEqual([0o600, 0o600, 0o700, 0o700, 0o600]);
  });

  it("takes the place of a host that died without cleaning up", async () => {
    const first = (await start()).client();
    const { hostPid } = await first.request("engine/status", { startEngine: true });
    process.kill(hostPid, "SIGKILL");
    await vi.waitUntil(() => fixture().hostPid() === null, patience);
    if (fixture().paths.socketDirectory !== null) expect(existsSync(fixture().paths.endpoint)).toBe(true);
    const { hostPid: next } = await fixture().client().request("engine/status", { startEngine: true });
    expect(next).not.toBe(hostPid);
  });

  itOnPosix("is refused in a folder that others may write", async () => {
    await start();
    mkdirSync(fixture().paths.runtime, { recursive: true });
    chmodSync(fixture().paths.runtime, 0o777);
    expect(await codeOf(fixture().client().request("engine/status", { startEngine: true }))).toBe("UNAUTHORIZED");
    expect(fixture().hostPid()).toBeNull();
  });

  itOnPosix("asks nobody who listens in a folder that others may write", async () => {
    await start();
    const { runtime, endpoint, tokenFile, lockFile } = fixture().paths;
    mkdirSync(runtime, { recursive: true });
    writeFileSync(tokenFile, "0".repeat(64));
    let connections = 0;
    const impostor = createServer(() => ++connections).listen(endpoint);
    // A restart by the user must not kill whom the lock names.
    const racer = resolve("test/unit/engine/lock_racer.ts");
    const victim = spawn(process.execPath, ["--import", "tsx", racer, lockFile, tokenFile]);
    try {
      await vi.waitUntil(() => existsSync(endpoint) && fixture().hostPid() === victim.pid, patience);
      chmodSync(runtime, 0o777);
      const client = fixture().client();
      expect(await codeOf(client.request("engine/status", { startEngine: false }))).toBe("UNAUTHORIZED");
      expect(await codeOf(client.endHost())).toBe("UNAUTHORIZED");
      expect(connections).toBe(0);
      expect([victim.exitCode, victim.signalCode]).toEqual([null, null]);
    } finally {
      victim.kill("SIGKILL");
      impostor.close();
    }
  });

  itOnLinux("takes nothing over that belongs to the window which starts it", async () => {
    await start({
      NODE_OPTIONS: "--require /nowhere/debugger.js",
      VSCODE_IPC_HOOK: "/nowhere/ipc",
      OF_THE_USER: "kept",
    });
    const { hostPid } = await fixture().client().request("engine/status", { startEngine: true });
    const environment = readFileSync(`/proc/${String(hostPid)}/environ`, "utf8").split("\0");
    expect(environment.filter((line) => /^(?:NODE_OPTIONS|VSCODE_\w+|OF_THE_USER)=/.test(line))).toEqual([
      "OF_THE_USER=kept",
    ]);
    expect(readlinkSync(`/proc/${String(hostPid)}/cwd`)).toBe(realpathSync(fixture().paths.runtime));
  });

  it("that fails tells the reason from the log", async () => {
    await start({ NMOS_ADDON: "/nowhere/addon.node" });
    const failure = await fixture()
      .client()
      .request("engine/status", { startEngine: true })
      .then(() => null, toEngineError);
    expect(failure?.code).toBe("BACKEND_UNAVAILABLE");
    expect(failure?.message).toContain(resolve("/nowhere/addon.node"));
  });
});

describe("a host that dies", () => {
  it("between requests is replaced by the next one", async () => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    process.kill(hostPid, "SIGKILL");
    await vi.waitUntil(() => client.state.kind === "stopped", patience);
    expect((await client.request("engine/status", { startEngine: true })).hostPid).not.toBe(hostPid);
  });

  it("in the middle of an answer fails that request with a clear error, and the next one works", async () => {
    const client = (await start()).client();
    const failure = await client
      .request(
        "chat/generate",
        { ...fixture().chat("/forever"), maxTokens: 1e6 },
        { onProgress: () => process.kill(Number(fixture().hostPid()), "SIGKILL") },
      )
      .then(() => null, toEngineError);
    expect(failure?.code).toBe("ENGINE_DIED");
    expect(failure?.message).toContain(fixture().paths.logFile);
    expect((await client.request("chat/generate", fixture().chat("/count 2"))).text).toBe("1 2 ");
  });

  it("again and again is not started for a while, which a restart by the user ends", async () => {
    const client = (await start()).client();
    for (let crash = 0; crash < 3; ++crash) {
      expect(await codeOf(client.request("chat/generate", fixture().chat("/crash")))).toBe("ENGINE_DIED");
      await vi.waitUntil(() => client.state.kind !== "running", patience);
    }
    const refused = await client.request("engine/status", { startEngine: true }).then(() => null, toEngineError);
    expect(refused?.code).toBe("ENGINE_UNAVAILABLE");
    expect(refused?.message).toContain("keeps crashing");
    expect(refused?.message).toContain(fixture().paths.logFile);
    expect(client.state.kind).toBe("failed");
    expect(await client.endHost()).toBe(false);
    expect((await client.request("engine/status", { startEngine: true })).hostPid).toBe(fixture().hostPid());
  });
});

describe("the end", () => {
  it("comes after the last client and the time of grace", async () => {
    const client = (await start({ NMOS_HOST_GRACE_MS: "50" })).client();
    await client.request("engine/status", { startEngine: true });
    client.dispose();
    await vi.waitUntil(() => fixture().hostPid() === null, patience);
    expect(existsSync(fixture().paths.endpoint)).toBe(false);
    expect(fixture().log()).toContain("no client for 50 ms");
  });

  it("does not come while a client is there", async () => {
    const client = (await start({ NMOS_HOST_GRACE_MS: "50" })).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(fixture().hostPid()).toBe(hostPid);
  });

  it("at one window's wish is no crash for the others", async () => {
    const [one, other] = [(await start()).client(), fixture().client()];
    await Promise.all([one, other].map((client) => client.request("engine/status", { startEngine: true })));
    const first = fixture().hostPid();
    for (let times = 0; times < 4; ++times) {
      expect(await one.endHost()).toBe(true);
      await other.request("engine/status", { startEngine: true });
      await one.request("engine/status", { startEngine: true });
    }
    expect(fixture().hostPid()).not.toBe(first);
    expect([...one.states, ...other.states].filter(({ kind }) => kind === "failed")).toEqual([]);
  });

  itOnPosix("is forced on a host that hangs", async () => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    process.kill(hostPid, "SIGSTOP");
    expect(await client.endHost()).toBe(true);
    expect((await client.request("engine/status", { startEngine: true })).hostPid).not.toBe(hostPid);
  });

  itOnPosix("comes with SIGTERM", async () => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    process.kill(hostPid, "SIGTERM");
    await vi.waitUntil(() => fixture().hostPid() === null, patience);
    expect(existsSync(fixture().paths.endpoint)).toBe(false);
  });
});

describe("what others delete", () => {
  it("comes back: socket, token and lock", async () => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    const { endpoint, tokenFile, lockFile, socketDirectory } = fixture().paths;
    const files = [...(socketDirectory === null ? [] : [endpoint]), tokenFile, lockFile];
    for (const file of files) rmSync(file);
    await vi.waitUntil(() => files.every((file) => existsSync(file)), patience);
    expect((await fixture().client().request("engine/status", { startEngine: true })).hostPid).toBe(hostPid);
  });

  it("leads to no second host when it is the lock", async () => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    rmSync(fixture().paths.lockFile);
    expect((await fixture().client().request("engine/status", { startEngine: true })).hostPid).toBe(hostPid);
  });
});
