import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { createMessageConnection, SocketMessageReader, SocketMessageWriter } from "vscode-jsonrpc/node";
import { version } from "../../../package.json";
import { newNonce, proofOf } from "../../../src/engine/ipc/mutual_proof";
import { DEFAULT_ENGINE_SETTINGS } from "../../../src/shared/engine_settings";
import { toEngineError, type ErrorCode } from "../../../src/shared/errors";
import type { HelloParams } from "../../../src/shared/introduction";
import { HostFixture } from "./host_fixture";

const token = "5".repeat(64);
const nonce = newNonce();

let fixture: HostFixture;
let server: Server | null = null;
let heard = "";
const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server?.close();
  fixture.dispose();
});

/** Takes the endpoint of a user before there is a host. `answer`: null of one that knows no hello. */
async function listen(answer: ((hello: HelloParams) => unknown) | null, hasToken: boolean): Promise<void> {
  fixture = await HostFixture.create();
  heard = "";
  const { runtime, endpoint, tokenFile, socketDirectory } = fixture.paths;
  for (const folder of [runtime, socketDirectory ?? runtime]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (hasToken) writeFileSync(tokenFile, token, { mode: 0o600 });
  const stranger = createServer((socket) => {
    sockets.push(socket);
    const connection = createMessageConnection(new SocketMessageReader(socket), new SocketMessageWriter(socket));
    socket.on("data", (bytes) => (heard += String(bytes)));
    if (answer) connection.onRequest("hello", answer);
    connection.onRequest("initialize", () => ({ hostPid: process.pid, hostVersion: version, clients: 1 }));
    connection.listen();
    void connection.sendNotification("models/changed", []);
  });
  await new Promise<void>((resolve) => stranger.listen(endpoint, resolve));
  server = stranger;
}

const proved = (guess: string, client: string) => ({
  nonce,
  proof: proofOf("host", guess, { host: nonce, client }),
});

it.each<[what: string, answer: ((hello: HelloParams) => unknown) | null, hasToken: boolean, code: ErrorCode]>([
  ["proves nothing", () => ({ nonce, proof: "" }), true, "UNAUTHORIZED"],
  ["guesses the token", ({ nonce: client }) => proved("6".repeat(64), client), true, "UNAUTHORIZED"],
  ["came before there was a token", ({ nonce: client }) => proved("", client), false, "UNAUTHORIZED"],
  ["sends back what it was sent", ({ nonce: client }) => ({ nonce: client, proof: client }), true, "UNAUTHORIZED"],
  ["is a host of an older version", null, true, "PROTOCOL_MISMATCH"],
])("a stranger on the endpoint that %s learns nothing and is not believed", async (_, answer, hasToken, code) => {
  await listen(answer, hasToken);
  const client = fixture.client({ ...DEFAULT_ENGINE_SETTINGS, modelsDirectory: "/home/of/a/secret" });
  const believed: unknown[] = [];
  client.on("models/changed", (models) => believed.push(models));
  const refused = await client.request("chat/generate", fixture.chat("my secret")).then(() => null, toEngineError);
  expect(refused?.code).toBe(code);
  const methods = [...heard.matchAll(/"method":"([\w/$]+)"/g)].map(([, method]) => method);
  expect(methods).toEqual(["hello"]);
  expect(heard).not.toMatch(/secret|5{9}|"test"/);
  expect(believed).toEqual([]);
  expect(fixture.hostPid()).toBeNull();
});

it.each<[what: string, spoil: (tokenFile: string) => void]>([
  ["is not there", () => undefined],
  [
    "is empty",
    (tokenFile) => {
      writeFileSync(tokenFile, "");
    },
  ],
  [
    "cannot be read",
    (tokenFile) => {
      mkdirSync(tokenFile);
    },
  ],
])("where the token %s, nobody is believed, and the user learns why", async (_, spoil) => {
  await listen(({ nonce: client }) => proved("", client), false);
  const { tokenFile, endpoint } = fixture.paths;
  spoil(tokenFile);
  const refused = await fixture
    .client()
    .request("engine/status", { startEngine: false })
    .then(() => null, toEngineError);
  expect(refused?.code).toBe("UNAUTHORIZED");
  for (const part of [tokenFile, endpoint, "is missing", "try again"]) expect(refused?.message).toContain(part);
});

it("who knows the token is answered", async () => {
  await listen(({ nonce: client }) => proved(token, client), true);
  const client = fixture.client();
  // Without this, the refusals above would prove nothing.
  client.request("engine/status", { startEngine: false }).catch(() => undefined);
  await expect.poll(() => heard).toContain('"method":"engine/status"');
});
