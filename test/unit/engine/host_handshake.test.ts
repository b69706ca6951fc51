import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isProof, newNonce, proofOf, type Nonces } from "../../../src/engine/ipc/mutual_proof";
import type { EngineSettings } from "../../../src/shared/engine_settings";
import type { ErrorCode } from "../../../src/shared/errors";
import type { HelloParams, InitializeParams } from "../../../src/shared/introduction";
import { PROTOCOL_VERSION } from "../../../src/shared/protocol";
import { codeOf, hostScene } from "./host_scene";
import { rawConnection, sayHello } from "./raw_connection";

const { start, fixture } = hostScene();

describe("handshake", () => {
  const hello = (): HelloParams => ({ protocolVersion: PROTOCOL_VERSION, nonce: newNonce() });
  const token = () => readFileSync(fixture().paths.tokenFile, "utf8");
  const initialize = (proof: unknown) => ({ proof, client: { name: "raw", pid: process.pid } }) as InitializeParams;

  /** Says hello on a new connection; the host has proved itself. */
  async function meet() {
    const raw = await rawConnection(fixture().paths.endpoint);
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
    const raw = await rawConnection(fixture().paths.endpoint);
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
    const raw = await rawConnection(fixture().paths.endpoint);
    expect(await codeOf(raw.request("engine/shutdown", null))).toBe("UNAUTHORIZED");
    expect(await codeOf(raw.request("chat/generate", fixture().chat("/crash")))).toBe("UNAUTHORIZED");
    expect(fixture().hostPid()).not.toBeNull();
    raw.destroy();
  });

  it("survives bytes that are no JSON-RPC", async () => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: true });
    for (const garbage of ["GET / HTTP/1.1\r\n\r\n", "Content-Length: 5\r\n\r\n{{{{{", "Content-Length: -1\r\n\r\n"]) {
      const raw = await rawConnection(fixture().paths.endpoint);
      raw.write(garbage);
      raw.destroy();
      await raw.closed;
    }
    expect((await client.request("engine/status", { startEngine: true })).hostPid).toBe(hostPid);
  });
});
