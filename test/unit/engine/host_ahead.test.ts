import { describe, expect, it } from "vitest";
import type { ChatMessage } from "../../../src/shared/chat";
import type { TestClient } from "./host_fixture";
import { hostScene } from "./host_scene";

const { start, fixture } = hostScene();

describe("computing ahead", () => {
  const messages: ChatMessage[] = [{ role: "user", content: "What is" }];
  const place = { path: "a.txt", languageId: "plaintext", prefix: "let a", suffix: "", extracts: [], maxTokens: 4 };

  it("loads no model, and none is needed for it", async () => {
    const client = (await start()).client();
    const { model } = fixture();
    const whole = { ...place, reach: "whole", load: false } as const;
    expect(await client.request("chat/prefill", { model, messages, wake: true })).toBeNull();
    expect(await client.request("completion/prefill", { ...whole, model })).toBeNull();
    expect(await client.request("completion/prefill", { ...whole, model: "/no/such.gguf" })).toBeNull();
    expect(await client.request("completion/ahead", { ...place, model, lines: "single" })).toBeNull();
    expect((await client.request("engine/status", { startEngine: false })).models).toEqual([]);
  });

  it("serves a model that is in memory, and is counted when a request finds it", async () => {
    const client = (await start()).client();
    const { model } = fixture();
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
    ...{ model: fixture().model, path: "a.txt", languageId: "plaintext", prefix: `\n${text}\n`, suffix: "", maxTokens },
    ...{ extracts: [], lines: "single" as const },
  });

  async function startWithModel(): Promise<TestClient> {
    const client = (await start()).client();
    await client.request("models/load", { model: fixture().model, role: "fast" });
    return client;
  }

  it("is the one that is suggested later", async () => {
    const client = await startWithModel();
    const params = suggestion("/count 3", 8);
    const ahead = await client.request("completion/ahead", params);
    expect(ahead).toMatchObject({ text: "1 2 3", finish: "stop", model: fixture().model });
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
    const { model } = fixture();
    await client.request("engine/configure", { computeAhead });
    await client.request("models/load", { model, role: "main" });
    const ahead = await client.request("chat/prefill", {
      ...{ model, messages: [{ role: "user", content: "Why" }], wake: true },
    });
    expect(ahead !== null).toBe(expected);
  });
});
