/** Uses the engine host of a package as a window of VS Code does. Runs in Node on the package's own system. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { createEngineClient } from "../../src/engine/client/create_engine_client";
import type { EngineClient } from "../../src/engine/client/engine_client";
import { newNonce, proofOf } from "../../src/engine/ipc/mutual_proof";
import { connect } from "../../src/engine/ipc/rpc";
import { enginePaths, thisMachine } from "../../src/engine/paths";
import { DEFAULT_ENGINE_SETTINGS } from "../../src/shared/engine_settings";
import { toEngineError } from "../../src/shared/errors";
import { rawConnection, sayHello } from "../unit/engine/raw_connection";
import { observe, probeInput } from "./observe";

export interface HostProbeInput {
  /** Folder of the unpacked package. */
  extensionRoot: string;
  /** Folder for everything that NMOS writes; need not exist. */
  home: string;
  /** The small model. */
  model: string;
  /** An archive for machines without a network that holds it. */
  archive: string;
}

/** Milliseconds that something may take before it counts as never happening. */
const patience = 60_000;

async function until(holds: () => boolean): Promise<boolean> {
  const deadline = Date.now() + patience;
  while (!holds()) {
    if (Date.now() > deadline) return false;
    await delay(50);
  }
  return true;
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const { extensionRoot, home, model, archive } = probeInput() as HostProbeInput;
const env = { ...process.env, NMOS_HOME: home, NMOS_HOST_GRACE_MS: "1000" };
const paths = enginePaths(thisMachine(env));
const clients: EngineClient[] = [];
const newClient = (clientName: string): EngineClient => {
  const settings = { ...DEFAULT_ENGINE_SETTINGS, gpu: "off", threads: 1, contextLength: 1024 } as const;
  const client = createEngineClient({ extensionRoot, clientName, settings, env });
  clients.push(client);
  return client;
};
const [window, other] = [newClient("window"), newClient("other window")];
const pids: number[] = [];
const pidOf = async (client: EngineClient): Promise<number> => {
  const { hostPid } = await client.request("engine/status", { startEngine: false });
  pids.push(hostPid);
  return hostPid;
};

/** Asks the host on a connection of our own, with a proof of this token or none. */
const asStranger = async (token: string | null): Promise<unknown> => {
  const raw = await rawConnection(paths.endpoint);
  try {
    if (token === null) return await raw.request("engine/status", { startEngine: false });
    const { nonces } = await sayHello(raw.request);
    const proof = proofOf("client", token, nonces);
    return await raw.request("initialize", { proof, client: { name: "stranger", pid: process.pid } });
  } finally {
    raw.destroy();
  }
};

/** Takes the pipe's name before there is a host, and answers with a proof of another token. */
const besideStranger = async (): Promise<unknown> => {
  mkdirSync(paths.runtime, { recursive: true });
  writeFileSync(paths.tokenFile, "0".repeat(64));
  let heard = "";
  const stranger = createServer((socket) => {
    const connection = connect(socket);
    socket.on("data", (bytes) => (heard += String(bytes)));
    connection.onRequest("hello", ({ nonce: client }: { nonce: string }) => {
      const host = newNonce();
      return { nonce: host, proof: proofOf("host", "1".repeat(64), { host, client }) };
    });
    connection.listen();
  });
  await new Promise<void>((listening) => stranger.listen(paths.endpoint, listening));
  const deceived = newClient("deceived");
  const { code } = await deceived
    .request("engine/status", { startEngine: false })
    .then(() => ({ code: "none" }), toEngineError);
  deceived.dispose();
  await new Promise((closed) => stranger.close(closed));
  return { code, methods: [...heard.matchAll(/"method":"([\w/]+)"/g)].map(([, method]) => method) };
};

const prefix = "def add(a, b):\n    return ";
const place = { path: "größe.py", languageId: "python", prefix, suffix: "\n", extracts: [], maxTokens: 12 };
const ask = async (content: string, maxTokens: number, onText: () => void = () => undefined, signal?: AbortSignal) => {
  let streamed = "";
  const { text, finish } = await window.request(
    "chat/generate",
    { model, messages: [{ role: "user", content }], maxTokens, sampling: { temperature: 0 } },
    {
      onProgress: (piece) => {
        streamed += piece;
        onText();
      },
      ...(signal ? { signal } : {}),
    },
  );
  return { text, finish, streamed };
};

void observe({
  "the endpoint": () => paths.endpoint,
  "a stranger on the pipe": besideStranger,
  "a start": async () => lives(await pidOf(window)),
  "the engine": async () => {
    const { library, devices } = await window.request("engine/status", { startEngine: true });
    return { library, devices: devices.map(({ kind }) => kind) };
  },
  "a completion": async () => {
    const { text, finish } = await window.request("completion/complete", { ...place, model, lines: "single" });
    return { text, finish };
  },
  "an answer": () => ask("What is the capital of France?", 16),
  "an answer in other letters": () => ask("Repeat: naïve café 日本 🎉", 24),
  "an answer that is stopped": async () => {
    const controller = new AbortController();
    const stop = () => {
      controller.abort();
    };
    return (await ask("Count to one thousand.", 900, stop, controller.signal)).finish;
  },
  "a second window": async () => (await pidOf(other)) === (await pidOf(window)),
  "a wrong token": () => asStranger("0".repeat(readFileSync(paths.tokenFile, "utf8").length)),
  "no introduction": () => asStranger(null),
  "the self-test": async () => {
    const steps = await window.request("engine/selfTest", { models: { fast: model, main: model } });
    return steps.map(({ name, ok, detail }) => (ok ? name : `${name}: ${detail}`));
  },
  "an archive": () => window.request("archive/install", { path: archive }),
  "an archive for the second time": () => other.request("archive/install", { path: archive }),
  "the model of the archive": async () => {
    const { text } = await window.request("completion/complete", { ...place, model: "smollm2-135m", lines: "single" });
    return text;
  },
  "a killed host": async () => {
    const pid = await pidOf(window);
    process.kill(pid, "SIGKILL");
    await until(() => !lives(pid) && window.state.kind === "stopped");
    const next = await pidOf(window);
    return next !== pid && lives(next);
  },
  "an end that was asked for": async () => {
    const pid = await pidOf(window);
    return (await window.endHost()) && (await until(() => !lives(pid)));
  },
  "the last window": async () => {
    const pid = await pidOf(window);
    await pidOf(other);
    for (const client of clients) client.dispose();
    return until(() => !lives(pid));
  },
  "processes that are left": () => pids.filter(lives),
  "the log": () => readFileSync(paths.logFile, "utf8"),
  "the end": () => null,
});
