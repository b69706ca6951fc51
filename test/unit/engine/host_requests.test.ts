import { describe, expect, it, vi } from "vitest";
import type { ChatMessage } from "../../../src/shared/chat";
import type { ErrorCode } from "../../../src/shared/errors";
import type { TestClient } from "./host_fixture";
import { codeOf, hostScene, patience } from "./host_scene";

const { start, fixture } = hostScene();

describe("requests", () => {
  it("stream in order, everything before the result", async () => {
    const client = (await start()).client();
    const pieces: string[] = [];
    const result = await client.request("chat/generate", fixture().chat("/count 50"), {
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
      { ...fixture().chat("/forever"), maxTokens: 100_000 },
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
    expect(fixture().hostPid()).toBeNull();
  });

  it("whose client goes away are cancelled", async () => {
    const [leaving, staying] = [(await start()).client(), fixture().client()];
    const answered = codeOf(leaving.request("chat/generate", { ...fixture().chat("/forever"), maxTokens: 1e6 }));
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
    expect(await codeOf(client.request("chat/generate", fixture().chat(command)))).toBe(code);
    expect((await client.request("engine/status", { startEngine: true })).hostPid).toBe(hostPid);
  });

  it.each<[name: string, model: string, code: ErrorCode]>([
    ["an unknown id", "no-such-model", "MODEL_UNKNOWN"],
    ["one of the catalogue that is not here", "qwen2.5-coder-7b", "MODEL_NOT_INSTALLED"],
    ["a file that is not there", "/nowhere/model.gguf", "MODEL_NOT_FOUND"],
  ])("are refused for %s", async (_, model, code) => {
    const client = (await start()).client();
    expect(await codeOf(client.request("chat/generate", { ...fixture().chat("/count 1"), model }))).toBe(code);
  });

  it("of ghost text are answered while two chats hold a session each", async () => {
    const client = (await start()).client();
    const controller = new AbortController();
    const chats = [1, 2, 3].map((n) =>
      client.request(
        "chat/generate",
        { ...fixture().chat(`${String(n)}\n/forever`), maxTokens: 1e6 },
        { signal: controller.signal },
      ),
    );
    const { text } = await client.request("completion/complete", {
      model: fixture().chat("").model,
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

describe("a request that waits for a model to load", () => {
  const messages: ChatMessage[] = [{ role: "user", content: "/count 1" }];
  const completion = { path: "a.txt", languageId: "plaintext", prefix: "", suffix: "", extracts: [] };

  function asked(client: TestClient, method: string, signal?: AbortSignal): Promise<unknown> {
    const model = fixture().gatedModel;
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
    const [leaving, staying] = [(await start()).client(), fixture().client()];
    const ended = codeOf(asked(leaving, "chat/generate"));
    await vi.waitUntil(async () => (await loads(staying)) === 1, patience);
    leaving.dispose();
    expect(await ended).toBe("ENGINE_DIED");
    await vi.waitUntil(async () => (await loads(staying)) === 0, patience);
  });

  it("ends when the user unloads the models", async () => {
    const [waiting, other] = [(await start()).client(), fixture().client()];
    const ended = codeOf(asked(waiting, "chat/generate"));
    await vi.waitUntil(async () => (await loads(other)) === 1, patience);
    await other.request("engine/unload", {});
    expect(await ended).toBe("CANCELLED");
    expect(await loads(other)).toBe(0);
  });
});
