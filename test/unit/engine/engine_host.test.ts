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
import { dirname, resolve } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { isProof, newNonce, proofOf, type Nonces } from "../../../src/engine/ipc/mutual_proof";
import { toEngineError, type ErrorCode } from "../../../src/shared/errors";
import {
  DEFAULT_ENGINE_SETTINGS,
  PROTOCOL_VERSION,
  type ChatMessage,
  type EngineSettings,
  type HelloParams,
  type InitializeParams,
  type ParamsOf,
} from "../../../src/shared/protocol";
import { HostFixture, type TestClient } from "./host_fixture";
import { rawConnection, sayHello } from "./raw_connection";

const patience = { timeout: 20_000, interval: 20 };

let fixture: HostFixture;

afterEach(() => {
  fixture.dispose();
});

async function start(environment?: Record<string, string>): Promise<HostFixture> {
  fixture = await HostFixture.create(environment);
  return fixture;
}

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | "none"> {
  return promise.then(
    () => "none" as const,
    (thrown: unknown) => toEngineError(thrown).code,
  );
}

describe("start", () => {
  it("happens with the first request, once for clients that ask at the same time", async () => {
    await start();
    const clients = Array.from({ length: 4 }, () => fixture.client());
    expect(fixture.hostPid()).toBeNull();
    const statuses = await Promise.all(clients.map((one) => one.request("engine/status", { startEngine: true })));
    expect(new Set(statuses.map(({ hostPid }) => hostPid))).toEqual(new Set([fixture.hostPid()]));
    const { clients: connected } = (await clients[0]?.request("engine/status", { startEngine: true })) ?? {
      clients: 0,
    };
    expect(connected).toBe(4);
  });

  it("leaves what others may not read or write", async () => {
    await (await start()).client().request("engine/status", { startEngine: true });
    const { tokenFile, endpoint, socketDirectory, runtime, logFile } = fixture.paths;
    const modes = [tokenFile, endpoint, socketDirectory ?? runtime, runtime, logFile].map(
      (path) => statSync(path).mode & 0o777,
    );
    expect(modes).toEqual([0o600, 0o600, 0o700, 0o700, 0o600]);
  });

  it("takes the place of a host that died without cleaning up", async () => {
    const first = (await start()).client();
    const { hostPid } = await first.request("engine/status", { startEngine: true });
    process.kill(hostPid, "SIGKILL");
    await vi.waitUntil(() => fixture.hostPid() === null, patience);
    expect(existsSync(fixture.paths.endpoint)).toBe(true);
    const { hostPid: next } = await fixture.client().request("engine/status", { startEngine: true });
    expect(next).not.toBe(hostPid);
  });

  it("is refused in a folder that others may write", async () => {
    await start();
    mkdirSync(fixture.paths.runtime, { recursive: true });
    chmodSync(fixture.paths.runtime, 0o777);
    expect(await codeOf(fixture.client().request("engine/status", { startEngine: true }))).toBe("UNAUTHORIZED");
    expect(fixture.hostPid()).toBeNull();
  });

  it("asks nobody who listens in a folder that others may write", async () => {
    await start();
    const { runtime, endpoint, tokenFile, lockFile } = fixture.paths;
    mkdirSync(runtime, { recursive: true });
    writeFileSync(tokenFile, "0".repeat(64));
    let connections = 0;
    const impostor = createServer(() => ++connections).listen(endpoint);
    // A restart by the user must not kill whom the lock names.
    const racer = resolve("test/unit/engine/lock_racer.ts");
    const victim = spawn(process.execPath, ["--import", "tsx", racer, lockFile, tokenFile]);
    try {
      await vi.waitUntil(() => existsSync(endpoint) && fixture.hostPid() === victim.pid, patience);
      chmodSync(runtime, 0o777);
      const client = fixture.client();
      expect(await codeOf(client.request("engine/status", { startEngine: false }))).toBe("UNAUTHORIZED");
      expect(await codeOf(client.endHost())).toBe("UNAUTHORIZED");
      expect(connections).toBe(0);
      expect([victim.exitCode, victim.signalCode]).toEqual([null, null]);
    } finally {
      victim.kill("SIGKILL");
      impostor.close();
    }
  });

  it.runIf(process.platform === "linux")("takes nothing over that belongs to the window which starts it", async () => {
    await start({
      NODE_OPTIONS: "--require /nowhere/debugger.js",
      VSCODE_IPC_HOOK: "/nowhere/ipc",
      OF_THE_USER: "kept",
    });
    const { hostPid } = await fixture.client().request("engine/status", { startEngine: true });
    const environment = readFileSync(`/proc/${String(hostPid)}/environ`, "utf8").split("\0");
    expect(environment.filter((line) => /^(?:NODE_OPTIONS|VSCODE_\w+|OF_THE_USER)=/.test(line))).toEqual([
      "OF_THE_USER=kept",
    ]);
    expect(readlinkSync(`/proc/${String(hostPid)}/cwd`)).toBe(realpathSync(fixture.paths.runtime));
  });

  it("that fails tells the reason from the log", async () => {
    await start({ NMOS_ADDON: "/nowhere/addon.node" });
    const failure = await fixture
      .client()
      .request("engine/status", { startEngine: true })
      .then(() => null, toEngineError);
    expect(failure?.code).toBe("BACKEND_UNAVAILABLE");
    expect(failure?.message).toContain("/nowhere/addon.node");
  });
});

it("checks the machine: plans what is installed, loads nothing", async () => {
  const host = await start();
  const client = host.client({ ...DEFAULT_ENGINE_SETTINGS, modelsDirectory: host.directory, contextLength: 2048 });
  const planned: string[] = [];
  const report = await client.request("engine/checkMachine", {}, { onProgress: (name) => planned.push(name) });
  expect(planned.toSorted()).toEqual(["gated", "model"]);
  const own = report.models.filter(({ isOwnFile }) => isOwnFile);
  expect(own.map(({ placement, problem }) => [placement?.contextLength, problem])).toEqual([
    [2048, ""],
    [2048, ""],
  ]);
  const others = report.models.filter(({ isOwnFile }) => !isOwnFile);
  expect(others.length).toBeGreaterThan(3);
  expect(others.every(({ installed, placement }) => !installed && placement === null)).toBe(true);
  expect(report).toMatchObject({ hasLoadedModels: false, settings: { contextLength: 2048 } });
  expect((await client.request("engine/status", { startEngine: false })).models).toEqual([]);
});

it("tells of engine packs and takes none that it does not know", async () => {
  const client = (await start()).client();
  const { packs } = await client.request("packs/list", null);
  expect(packs.every(({ installed }) => !installed)).toBe(true);
  const installing = client.request("packs/installFile", { path: fixture.model });
  expect(await codeOf(installing)).toBe("CHECKSUM_MISMATCH");
  expect(await codeOf(client.request("archive/install", { path: fixture.model }))).toBe("CHECKSUM_MISMATCH");
  expect(await codeOf(client.request("packs/install", { pack: "rocm" }))).not.toBe("none");
  const { backends, preparing } = await client.request("engine/status", { startEngine: true });
  expect(backends).toEqual([{ name: "vulkan", usable: false, reason: "it finds no card it can use" }]);
  expect(preparing).toBe("");
});

it("merely looking loads nothing native", async () => {
  await start({ NMOS_ADDON: "/nowhere/addon.node" });
  const client = fixture.client();
  const status = await client.request("engine/status", { startEngine: false });
  expect(status).toMatchObject({ library: "", devices: [], models: [], clients: 1 });
  expect(status.memory.totalBytes).toBeGreaterThan(0);
});

describe("handshake", () => {
  const hello = (): HelloParams => ({ protocolVersion: PROTOCOL_VERSION, nonce: newNonce() });
  const token = () => readFileSync(fixture.paths.tokenFile, "utf8");
  const initialize = (proof: unknown) => ({ proof, client: { name: "raw", pid: process.pid } }) as InitializeParams;

  /** Says hello on a new connection; the host has proved itself. */
  async function meet() {
    const raw = await rawConnection(fixture.paths.endpoint);
    const { nonces, hostProof } = await sayHello(raw.request);
    expect(isProof(hostProof, "host", token(), nonces)).toBe(true);
    return { raw, nonces, hostProof };
  }

  const another = newNonce();
  it.each<[name: string, proof: (nonces: Nonces, hostProof: string) => unknown, code: ErrorCode | "none"]>([
    ["the token", (nonces) => proofOf("client", token(), nonces), "none"],
    ["another token", (nonces) => proofOf("client", another, nonces), "UNAUTHORIZED"],
    ["the token itself", () => token(), "UNAUTHORIZED"],
    ["the host's own proof", (_, hostProof) => hostProof, "UNAUTHORIZED"],
    ["another connection", (nonces) => proofOf("client", token(), { ...nonces, host: another }), "UNAUTHORIZED"],
    ["letters longer than a byte", () => "é".repeat(64), "UNAUTHORIZED"],
    ["nothing", () => undefined, "UNAUTHORIZED"],
  ])("with a proof of %s", async (_, proof, code) => {
    await (await start()).client().request("engine/status", { startEngine: true });
    const { raw, nonces, hostProof } = await meet();
    expect(await codeOf(raw.request("initialize", initialize(proof(nonces, hostProof))))).toBe(code);
    expect(await codeOf(raw.request("engine/status", { startEngine: true }))).toBe(
      code === "none" ? "none" : "UNAUTHORIZED",
    );
    // There is one try a connection.
    expect(await codeOf(raw.request("initialize", initialize(proofOf("client", token(), nonces))))).toBe(
      "UNAUTHORIZED",
    );
    raw.destroy();
  });

  it.each<[name: string, change: (params: HelloParams) => unknown, code: ErrorCode]>([
    ["another protocol", (params) => ({ ...params, protocolVersion: 99 }), "PROTOCOL_MISMATCH"],
    ["a nonce that is none", (params) => ({ ...params, nonce: "1" }), "UNAUTHORIZED"],
    ["no nonce", ({ protocolVersion }) => ({ protocolVersion }), "UNAUTHORIZED"],
  ])("with %s is refused at once", async (_, change, code) => {
    await (await start()).client().request("engine/status", { startEngine: true });
    const raw = await rawConnection(fixture.paths.endpoint);
    expect(await codeOf(raw.request("hello", change(hello()) as HelloParams))).toBe(code);
    expect(await codeOf(raw.request("initialize", initialize(token())))).toBe("UNAUTHORIZED");
    raw.destroy();
  });

  it("refuses settings of a wrong type", async () => {
    await (await start()).client().request("engine/status", { startEngine: true });
    const { raw, nonces } = await meet();
    const settings = { threads: "two" } as unknown as EngineSettings;
    const params = { ...initialize(proofOf("client", token(), nonces)), settings };
    expect(await codeOf(raw.request("initialize", params))).toBe("INVALID_ARGUMENT");
    raw.destroy();
  });

  it("refuses every method before it", async () => {
    await (await start()).client().request("engine/status", { startEngine: true });
    const raw = await rawConnection(fixture.paths.endpoint);
    expect(await codeOf(raw.request("engine/shutdown", null))).toBe("UNAUTHORIZED");
    expect(await codeOf(raw.request("chat/generate", fixture.chat("/crash")))).toBe("UNAUTHORIZED");
    expect(fixture.hostPid()).not.toBeNull();
    raw.destroy();
  });

  it("survives bytes that are no JSON-RPC", async () => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    for (const garbage of ["GET / HTTP/1.1\r\n\r\n", "Content-Length: 5\r\n\r\n{{{{{", "Content-Length: -1\r\n\r\n"]) {
      const raw = await rawConnection(fixture.paths.endpoint);
      raw.write(garbage);
      raw.destroy();
      await raw.closed;
    }
    expect((await client.request("engine/status", { startEngine: true })).hostPid).toBe(hostPid);
  });
});

describe("requests", () => {
  it("stream in order, everything before the result", async () => {
    const client = (await start()).client();
    const pieces: string[] = [];
    const result = await client.request("chat/generate", fixture.chat("/count 50"), {
      onProgress: (piece) => pieces.push(piece),
    });
    expect(pieces.join("")).toBe(result.text);
    expect(pieces).toEqual(Array.from({ length: 50 }, (_, index) => `${String(index + 1)} `));
    expect(result).toMatchObject({ finish: "stop", usage: { completionTokens: 50 } });
  });

  it("that are cancelled resolve with what there was", async () => {
    const client = (await start()).client();
    const controller = new AbortController();
    let text = "";
    const result = await client.request(
      "chat/generate",
      { ...fixture.chat("/forever"), maxTokens: 100_000 },
      {
        signal: controller.signal,
        onProgress: (piece) => {
          text += piece;
          if (text.length > 20) controller.abort();
        },
      },
    );
    expect(result.finish).toBe("cancelled");
    expect(result.text.startsWith(text.slice(0, 20))).toBe(true);
  });

  it("that were cancelled before they were sent start no host", async () => {
    const client = (await start()).client();
    expect(await codeOf(client.request("engine/status", { startEngine: true }, { signal: AbortSignal.abort() }))).toBe(
      "CANCELLED",
    );
    expect(fixture.hostPid()).toBeNull();
  });

  it("whose client goes away are cancelled", async () => {
    const [leaving, staying] = [(await start()).client(), fixture.client()];
    const answered = codeOf(leaving.request("chat/generate", { ...fixture.chat("/forever"), maxTokens: 1e6 }));
    await vi.waitUntil(
      async () => (await staying.request("engine/status", { startEngine: true })).models[0]?.sessions === 1,
      patience,
    );
    leaving.dispose();
    expect(await answered).toBe("ENGINE_DIED");
    // A model is unloaded when its last request has ended.
    await staying.request("engine/unload", {});
    await vi.waitUntil(
      async () => (await staying.request("engine/status", { startEngine: true })).models.length === 0,
      patience,
    );
    expect((await staying.request("engine/status", { startEngine: true })).clients).toBe(1);
  });

  it.each<[command: string, code: ErrorCode]>([
    ["/fail OUT_OF_MEMORY", "OUT_OF_MEMORY"],
    ["/fail CONTEXT_TOO_LONG", "CONTEXT_TOO_LONG"],
    ["/fail WHAT_IS_THIS", "INTERNAL"],
  ])("carry the code of a native failure: %s", async (command, code) => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    expect(await codeOf(client.request("chat/generate", fixture.chat(command)))).toBe(code);
    expect((await client.request("engine/status", { startEngine: true })).hostPid).toBe(hostPid);
  });

  it.each<[name: string, model: string, code: ErrorCode]>([
    ["an unknown id", "no-such-model", "MODEL_UNKNOWN"],
    ["one of the catalogue that is not here", "qwen2.5-coder-7b", "MODEL_NOT_INSTALLED"],
    ["a file that is not there", "/nowhere/model.gguf", "MODEL_NOT_FOUND"],
  ])("are refused for %s", async (_, model, code) => {
    const client = (await start()).client();
    expect(await codeOf(client.request("chat/generate", { ...fixture.chat("/count 1"), model }))).toBe(code);
  });

  it("of ghost text are answered while two chats hold a session each", async () => {
    const client = (await start()).client();
    const controller = new AbortController();
    const chats = [1, 2, 3].map((n) =>
      client.request(
        "chat/generate",
        { ...fixture.chat(`${String(n)}\n/forever`), maxTokens: 1e6 },
        { signal: controller.signal },
      ),
    );
    const { text } = await client.request("completion/complete", {
      model: fixture.chat("").model,
      path: "a.txt",
      languageId: "plaintext",
      prefix: "",
      suffix: "",
      extracts: [],
      lines: "single",
      maxTokens: 4,
    });
    expect(text).not.toBe("");
    controller.abort();
    expect((await Promise.all(chats)).map(({ finish }) => finish)).toEqual(["cancelled", "cancelled", "cancelled"]);
  });
});

describe("computing ahead", () => {
  const messages: ChatMessage[] = [{ role: "user", content: "What is" }];
  const place = { path: "a.txt", languageId: "plaintext", prefix: "let a", suffix: "", extracts: [], maxTokens: 4 };

  it("loads no model, and none is needed for it", async () => {
    const client = (await start()).client();
    const { model } = fixture;
    const whole = { ...place, reach: "whole", load: false } as const;
    expect(await client.request("chat/prefill", { model, messages, wake: true })).toBeNull();
    expect(await client.request("completion/prefill", { ...whole, model })).toBeNull();
    expect(await client.request("completion/prefill", { ...whole, model: "/no/such.gguf" })).toBeNull();
    expect(await client.request("completion/ahead", { ...place, model, lines: "single" })).toBeNull();
    expect((await client.request("engine/status", { startEngine: false })).models).toEqual([]);
  });

  it("serves a model that is in memory, and is counted when a request finds it", async () => {
    const client = (await start()).client();
    const { model } = fixture;
    await client.request("models/load", { model, role: "fast" });
    const ahead = await client.request("completion/prefill", { ...place, model, reach: "whole", load: false });
    expect(ahead?.computedTokens).toBeGreaterThan(0);
    await client.request("completion/complete", { ...place, model, lines: "single" });
    const { models } = await client.request("engine/status", { startEngine: false });
    expect(models[0]?.activity).toMatchObject({
      aheadTokens: ahead?.computedTokens,
      usedAheadTokens: ahead?.computedTokens,
    });
  });
});

describe("a suggestion that nobody asked for yet", () => {
  const suggestion = (text: string, maxTokens: number) => ({
    ...{ model: fixture.model, path: "a.txt", languageId: "plaintext", prefix: `\n${text}\n`, suffix: "", maxTokens },
    ...{ extracts: [], lines: "single" as const },
  });

  async function startWithModel(): Promise<TestClient> {
    const client = (await start()).client();
    await client.request("models/load", { model: fixture.model, role: "fast" });
    return client;
  }

  it("is the one that is suggested later", async () => {
    const client = await startWithModel();
    const params = suggestion("/count 3", 8);
    const ahead = await client.request("completion/ahead", params);
    expect(ahead).toMatchObject({ text: "1 2 3", finish: "stop", model: fixture.model });
    expect((await client.request("completion/complete", params)).text).toBe("1 2 3");
  });

  it("is none where nothing may be computed ahead", async () => {
    const client = await startWithModel();
    await client.request("engine/configure", { computeAhead: "off" });
    expect(await client.request("completion/ahead", suggestion("/count 3", 8))).toBeNull();
  });

  it("ends with what there was when it is called off", async () => {
    const client = await startWithModel();
    const controller = new AbortController();
    const { signal } = controller;
    const ahead = client.request("completion/ahead", suggestion("/forever", 4000), { signal });
    setTimeout(() => {
      controller.abort();
    }, 20);
    expect((await ahead)?.finish).toBe("cancelled");
  });
});

describe("on battery", () => {
  it.each([
    ["auto", false],
    ["always", true],
    ["off", false],
  ] as const)("computes ahead with the setting %s: %s", async (computeAhead, expected) => {
    const client = (await start({ NMOS_FAKE_BATTERY: "1" })).client();
    const { model } = fixture;
    await client.request("engine/configure", { computeAhead });
    await client.request("models/load", { model, role: "main" });
    const ahead = await client.request("chat/prefill", {
      ...{ model, messages: [{ role: "user", content: "Why" }], wake: true },
    });
    expect(ahead !== null).toBe(expected);
  });
});

describe("a request that waits for a model to load", () => {
  const messages: ChatMessage[] = [{ role: "user", content: "/count 1" }];
  const completion = { path: "a.txt", languageId: "plaintext", prefix: "", suffix: "", extracts: [] };

  function asked(client: TestClient, method: string, signal?: AbortSignal): Promise<unknown> {
    const model = fixture.gatedModel;
    const options = signal ? { signal } : {};
    switch (method) {
      case "completion/complete":
        return client.request(method, { ...completion, model, lines: "single", maxTokens: 4 }, options);
      case "models/load":
        return client.request(method, { model, role: "main" }, options);
      case "completion/prefill":
        return client.request(method, { ...completion, model, reach: "typed", load: true, maxTokens: 4 }, options);
      case "chat/generate":
      case "chat/countTokens":
        return client.request(method, { model, messages }, options);
      default:
        throw new Error(`no such request: ${method}`);
    }
  }

  async function loads(client: TestClient): Promise<number> {
    return (await client.request("engine/status", { startEngine: false })).loading.length;
  }

  it.each(["completion/complete", "completion/prefill", "chat/generate", "chat/countTokens", "models/load"])(
    "ends when it is cancelled: %s",
    async (method) => {
      const client = (await start()).client();
      const controller = new AbortController();
      const ended = codeOf(asked(client, method, controller.signal));
      await vi.waitUntil(async () => (await loads(client)) === 1, patience);
      controller.abort();
      expect(await ended).toBe("CANCELLED");
      expect(await loads(client)).toBe(0);
    },
  );

  it("ends with its window", async () => {
    const [leaving, staying] = [(await start()).client(), fixture.client()];
    const ended = codeOf(asked(leaving, "chat/generate"));
    await vi.waitUntil(async () => (await loads(staying)) === 1, patience);
    leaving.dispose();
    expect(await ended).toBe("ENGINE_DIED");
    await vi.waitUntil(async () => (await loads(staying)) === 0, patience);
  });

  it("ends when the user unloads the models", async () => {
    const [waiting, other] = [(await start()).client(), fixture.client()];
    const ended = codeOf(asked(waiting, "chat/generate"));
    await vi.waitUntil(async () => (await loads(other)) === 1, patience);
    await other.request("engine/unload", {});
    expect(await ended).toBe("CANCELLED");
    expect(await loads(other)).toBe(0);
  });
});

describe("the self-test", () => {
  async function tested(models: ParamsOf<"engine/selfTest">["models"]): Promise<[name: string, detail: string][]> {
    const steps = await fixture.client().request("engine/selfTest", models ? { models } : {});
    return steps.slice(2).map(({ name, ok, detail }) => [name, ok ? detail : `failed: ${detail}`]);
  }

  it("tries the models that the user has chosen", async () => {
    const { model } = (await start()).chat("");
    expect(await tested({ fast: model, main: "qwen2.5-coder-7b" })).toEqual([
      ["Load the model for ghost text", `${model}: fake 1B`],
      ["Generate text with it", expect.stringMatching(/^1 tokens at/)],
      ["Load the model for chat", expect.stringMatching(/^failed: .*7B is not installed.*MODEL_NOT_INSTALLED/)],
    ]);
    expect(await tested({ fast: model, main: model })).toHaveLength(4);
  });

  it("tries the usual ones where none is chosen", async () => {
    await start();
    for (const models of [undefined, {}]) {
      expect(await tested(models)).toEqual([
        ["Load the model for ghost text", expect.stringMatching(/^failed: .*MODEL_NOT_INSTALLED/)],
      ]);
    }
  });

  it("that is stopped waits for no model", async () => {
    const client = (await start()).client();
    const controller = new AbortController();
    const stopped = client.request(
      "engine/selfTest",
      { models: { fast: fixture.gatedModel } },
      {
        signal: controller.signal,
        onProgress: ({ name }) => {
          if (name === "Find devices") controller.abort();
        },
      },
    );
    expect((await stopped).at(-1)).toMatchObject({ name: "Load the model for ghost text", ok: false });
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
        { ...fixture.chat("/forever"), maxTokens: 1e6 },
        { onProgress: () => process.kill(Number(fixture.hostPid()), "SIGKILL") },
      )
      .then(() => null, toEngineError);
    expect(failure?.code).toBe("ENGINE_DIED");
    expect(failure?.message).toContain(fixture.paths.logFile);
    expect((await client.request("chat/generate", fixture.chat("/count 2"))).text).toBe("1 2 ");
  });

  it("again and again is not started for a while, which a restart by the user ends", async () => {
    const client = (await start()).client();
    for (let crash = 0; crash < 3; ++crash) {
      expect(await codeOf(client.request("chat/generate", fixture.chat("/crash")))).toBe("ENGINE_DIED");
      await vi.waitUntil(() => client.state.kind !== "running", patience);
    }
    const refused = await client.request("engine/status", { startEngine: true }).then(() => null, toEngineError);
    expect(refused?.code).toBe("ENGINE_UNAVAILABLE");
    expect(refused?.message).toContain("keeps crashing");
    expect(refused?.message).toContain(fixture.paths.logFile);
    expect(client.state.kind).toBe("failed");
    expect(await client.endHost()).toBe(false);
    expect((await client.request("engine/status", { startEngine: true })).hostPid).toBe(fixture.hostPid());
  });
});

describe("the end", () => {
  it("comes after the last client and the time of grace", async () => {
    const client = (await start({ NMOS_HOST_GRACE_MS: "50" })).client();
    await client.request("engine/status", { startEngine: true });
    client.dispose();
    await vi.waitUntil(() => fixture.hostPid() === null, patience);
    expect(existsSync(fixture.paths.endpoint)).toBe(false);
    expect(fixture.log()).toContain("no client for 50 ms");
  });

  it("does not come while a client is there", async () => {
    const client = (await start({ NMOS_HOST_GRACE_MS: "50" })).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(fixture.hostPid()).toBe(hostPid);
  });

  it("at one window's wish is no crash for the others", async () => {
    const [one, other] = [(await start()).client(), fixture.client()];
    await Promise.all([one, other].map((client) => client.request("engine/status", { startEngine: true })));
    const first = fixture.hostPid();
    for (let times = 0; times < 4; ++times) {
      expect(await one.endHost()).toBe(true);
      await other.request("engine/status", { startEngine: true });
      await one.request("engine/status", { startEngine: true });
    }
    expect(fixture.hostPid()).not.toBe(first);
    expect([...one.states, ...other.states].filter(({ kind }) => kind === "failed")).toEqual([]);
  });

  it("is forced on a host that hangs", async () => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    process.kill(hostPid, "SIGSTOP");
    expect(await client.endHost()).toBe(true);
    expect((await client.request("engine/status", { startEngine: true })).hostPid).not.toBe(hostPid);
  });

  it("comes with SIGTERM", async () => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    process.kill(hostPid, "SIGTERM");
    await vi.waitUntil(() => fixture.hostPid() === null, patience);
    expect(existsSync(fixture.paths.endpoint)).toBe(false);
  });
});

describe("what others delete", () => {
  it("comes back: socket, token and lock", async () => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    const { endpoint, tokenFile, lockFile } = fixture.paths;
    const files = [endpoint, tokenFile, lockFile];
    for (const file of files) rmSync(file);
    await vi.waitUntil(() => files.every((file) => existsSync(file)), patience);
    expect((await fixture.client().request("engine/status", { startEngine: true })).hostPid).toBe(hostPid);
  });

  it("leads to no second host when it is the lock", async () => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    rmSync(fixture.paths.lockFile);
    expect((await fixture.client().request("engine/status", { startEngine: true })).hostPid).toBe(hostPid);
  });
});

describe("settings", () => {
  it("are sent to the host that runs and to the next one", async () => {
    const client = (await start()).client();
    await client.request("chat/generate", fixture.chat("/count 1"));
    await client.updateSettings({ ...DEFAULT_ENGINE_SETTINGS, contextLength: 2048 });
    const used = async () => (await client.request("chat/generate", fixture.chat("/count 1"))).contextLength;
    expect(await used()).toBe(2048);
    await client.endHost();
    expect(await used()).toBe(2048);
  });

  it("that change where a model goes load it anew", async () => {
    const client = (await start()).client();
    const loaded = async () => {
      await client.request("chat/generate", fixture.chat("/count 1"));
      return (await client.request("engine/status", { startEngine: false })).models;
    };
    expect(await loaded()).toMatchObject([{ placement: { kvCacheType: "f16" } }]);
    await client.updateSettings({ ...DEFAULT_ENGINE_SETTINGS, kvCacheType: "q8_0" });
    expect(await loaded()).toMatchObject([{ placement: { kvCacheType: "q8_0" } }]);
  });

  it("that say whether tokens are guessed hold from the next request on and load nothing anew", async () => {
    const client = (await start()).client();
    const usage = async () => (await client.request("chat/generate", fixture.chat("/count 4"))).usage;
    expect(await usage()).toMatchObject({ decodePasses: 2, draftedTokens: 4, acceptedTokens: 2 });
    await client.updateSettings({ ...DEFAULT_ENGINE_SETTINGS, speculation: "off" });
    expect(await usage()).toMatchObject({ decodePasses: 4, draftedTokens: 0, acceptedTokens: 0 });
    await client.updateSettings({ ...DEFAULT_ENGINE_SETTINGS, speculation: "auto" });
    await usage();
    const { models } = await client.request("engine/status", { startEngine: false });
    expect(models).toMatchObject([{ activity: { draftedTokens: 8, acceptedTokens: 4 } }]);
  });

  it("that ask for exact answers load the model anew", async () => {
    const client = (await start()).client();
    const drafted = async () => {
      await client.request("chat/generate", fixture.chat("/count 4"));
      const { models } = await client.request("engine/status", { startEngine: false });
      return models.map(({ activity }) => activity.draftedTokens);
    };
    expect([await drafted(), await drafted()]).toEqual([[4], [8]]);
    await client.updateSettings({ ...DEFAULT_ENGINE_SETTINGS, speculation: "exact" });
    expect(await drafted()).toEqual([4]);
  });
});

describe("settings that a client does not give", () => {
  const contextOf = async (client: TestClient) =>
    (await client.request("chat/generate", fixture.chat("/count 1"))).contextLength;

  it.each<[name: string, given: Partial<EngineSettings>, contextLength: number]>([
    ["none", {}, 2048],
    ["another", { threads: 1 }, 2048],
    ["this one", { contextLength: 3072 }, 3072],
  ])("stay those of the others: %s", async (_, given, contextLength) => {
    await start();
    const window = fixture.client({ ...DEFAULT_ENGINE_SETTINGS, contextLength: 2048 });
    expect(await contextOf(window)).toBe(2048);
    await fixture.client(given).request("engine/status", { startEngine: false });
    expect(await contextOf(window)).toBe(contextLength);
  });

  it("are checked also when they change later", async () => {
    const client = (await start()).client();
    await client.request("engine/status", { startEngine: false });
    expect(await codeOf(client.updateSettings({ threads: -1 }))).toBe("INVALID_ARGUMENT");
  });
});

describe("notifications", () => {
  it("tell every client what is loaded", async () => {
    const [one, other] = [(await start()).client(), fixture.client()];
    const seen: string[][] = [];
    other.on("engine/statusChanged", ({ models }) => seen.push(models.map(({ name }) => name)));
    await other.request("engine/status", { startEngine: true });
    await one.request("chat/generate", fixture.chat("/count 1"));
    await vi.waitUntil(() => seen.at(-1)?.includes("model"), patience);
    await one.request("engine/unload", {});
    await vi.waitUntil(() => seen.at(-1)?.length === 0, patience);
  });
});

describe("the log", () => {
  it("holds no text of the user", async () => {
    const client = (await start()).client();
    await client.request("chat/generate", fixture.chat("my secret\n/count 3"));
    expect(fixture.log()).not.toContain("secret");
    expect(fixture.log()).toContain("client test");
  });

  it("that cannot be written does not keep the host from starting", async () => {
    await start();
    const directory = dirname(fixture.paths.logFile);
    mkdirSync(dirname(directory), { recursive: true });
    writeFileSync(directory, "a file where the folder should be");
    expect((await fixture.client().request("engine/status", { startEngine: true })).hostPid).toBe(fixture.hostPid());
  });
});
