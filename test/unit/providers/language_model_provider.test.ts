import { beforeEach, describe, expect, test, vi } from "vitest";
import { DEFAULT_CONTEXT_LENGTH } from "../../../src/shared/engine_settings";
import { EngineError } from "../../../src/shared/errors";
import type { ModelState } from "../../../src/shared/models";
import type { EngineView } from "../../../src/providers/engine_view";
import type { EngineClient } from "../../../src/engine/client/engine_client";

const host = vi.hoisted(() => {
  class TextPart {
    constructor(readonly value: string) {}
  }
  const registered = new Map<string, unknown>();
  return { TextPart, registered, missing: false, contextLength: undefined as number | undefined };
});

vi.mock("vscode", async () => {
  const { EventEmitter } = await import("./fake_vscode");
  return {
    EventEmitter,
    LanguageModelTextPart: host.TextPart,
    LanguageModelChatMessageRole: { User: 1, Assistant: 2 },
    LanguageModelError: { NotFound: (message: string) => new Error(`not found: ${message}`) },
    CancellationError: class extends Error {},
    get lm() {
      if (host.missing) return {};
      return {
        registerLanguageModelChatProvider: (vendor: string, provider: unknown) => {
          host.registered.set(vendor, provider);
          return { dispose: () => host.registered.delete(vendor) };
        },
      };
    },
    workspace: {
      getConfiguration: () => ({
        get: (key: string) => (key === "engine.contextLength" ? host.contextLength : undefined),
      }),
    },
  };
});

const { registerLanguageModelProvider } = await import("../../../src/providers/language_model_provider");
type Context = Parameters<typeof registerLanguageModelProvider>[0];

interface Provider {
  provideLanguageModelChatInformation(
    options: { silent: boolean },
    token: unknown,
  ): Promise<{ id: string; maxInputTokens: number; maxOutputTokens: number }[]>;
  provideLanguageModelChatResponse(
    model: unknown,
    messages: unknown[],
    options: unknown,
    progress: { report(part: { value: string }): void },
    token: unknown,
  ): Promise<void>;
  provideTokenCount(model: unknown, text: unknown, token: unknown): Promise<number>;
}

const token = { isCancellationRequested: false, onCancellationRequested: () => ({ dispose: () => undefined }) };
const model = { id: "m", maxOutputTokens: 512 };

function state(ref: string, installed: boolean, contextLength = 4_096): ModelState {
  return {
    ref,
    name: ref,
    roles: ["main"],
    sizeBytes: 1,
    license: "MIT",
    licenseUrl: "",
    contextLength,
    requiredBytes: 1,
    installed,
    path: "",
    partialBytes: 0,
    downloading: false,
    recommendedFor: [],
    fits: true,
  };
}

/** Registers the provider with an engine that answers every method by `answer`. */
function start(answer: (method: string, params: unknown, onText: (text: string) => void) => unknown) {
  const requests: { method: string; params: unknown }[] = [];
  const memento = new Map<string, unknown>();
  const context: unknown = {
    globalState: {
      get: (key: string, fallback: unknown) => memento.get(key) ?? fallback,
      update: (key: string, value: unknown) => Promise.resolve(memento.set(key, value)),
    },
  };
  const engine: unknown = {
    request: (method: string, params: unknown, options?: { onProgress?: (text: string) => void }) => {
      requests.push({ method, params });
      return Promise.resolve().then(() => answer(method, params, (text) => options?.onProgress?.(text)));
    },
  };
  const view: unknown = { models: undefined, status: undefined, onChanged: () => ({ dispose: () => undefined }) };
  const register = () => registerLanguageModelProvider(context as Context, engine as EngineClient, view as EngineView);
  const registration = register();
  return { registration, requests, register, provider: host.registered.get("nmos") as Provider };
}

describe("models for other extensions", () => {
  beforeEach(() => {
    host.registered.clear();
    host.missing = false;
    host.contextLength = undefined;
  });

  test("the installed models are offered, with room for an answer", async () => {
    const { provider } = start(() => [state("a", true), state("b", false)]);
    const offered = await provider.provideLanguageModelChatInformation({ silent: false }, token);
    expect(offered.map(({ id }) => id)).toEqual(["a"]);
    expect(offered[0]?.maxInputTokens).toBe(4_096 - 1_024);
    expect(offered[0]?.maxOutputTokens).toBe(1_024);
  });

  const contexts: [what: string, trained: number, setting: number | undefined, offered: number][] = [
    ["trained for less than usual", 4_096, undefined, 4_096],
    ["trained for more than usual", 32_768, undefined, DEFAULT_CONTEXT_LENGTH],
    ["a local file, of which nothing is known", 0, undefined, DEFAULT_CONTEXT_LENGTH],
    ["a local file and a setting", 0, 16_384, 16_384],
    ["a setting above what it was trained for", 4_096, 16_384, 4_096],
    ["a setting below", 32_768, 2_048, 2_048],
  ];
  test.each(contexts)("as much context is offered as the engine will load: %s", async (_, trained, setting, length) => {
    host.contextLength = setting;
    const { provider } = start(() => [state("a", true, trained)]);
    const [offered] = await provider.provideLanguageModelChatInformation({ silent: false }, token);
    expect(offered && offered.maxInputTokens + offered.maxOutputTokens).toBe(length);
    expect(offered?.maxOutputTokens).toBe(Math.min(1_024, length / 2));
  });

  test("a silent question starts no engine and answers what was known the last time", async () => {
    const first = start(() => [state("a", true)]);
    expect(await first.provider.provideLanguageModelChatInformation({ silent: true }, token)).toEqual([]);
    expect(first.requests).toEqual([]);
    await first.provider.provideLanguageModelChatInformation({ silent: false }, token);
    first.registration.dispose();
    first.register();
    const again = host.registered.get("nmos") as Provider;
    const offered = await again.provideLanguageModelChatInformation({ silent: true }, token);
    expect(offered.map(({ id }) => id)).toEqual(["a"]);
    expect(first.requests).toHaveLength(1);
  });

  test("messages go to the engine as they are meant, and the answer streams", async () => {
    const { provider, requests } = start((_, __, onText) => {
      for (const text of ["Hel", "lo"]) onText(text);
      return { text: "Hello" };
    });
    const parts: string[] = [];
    const messages = [
      { role: 3, content: [new host.TextPart("Be brief.")], name: undefined },
      { role: 1, content: [new host.TextPart("Hi"), { image: true }, new host.TextPart("!")], name: undefined },
      { role: 2, content: [new host.TextPart("Yes?")], name: undefined },
    ];
    const options = { modelOptions: { temperature: 0.5 } };
    const progress = { report: (part: { value: string }) => parts.push(part.value) };
    await provider.provideLanguageModelChatResponse(model, messages, options, progress, token);
    expect(parts).toEqual(["Hel", "lo"]);
    expect(requests[0]).toEqual({
      method: "chat/generate",
      params: {
        model: "m",
        messages: [
          { role: "system", content: "Be brief." },
          { role: "user", content: "Hi!" },
          { role: "assistant", content: "Yes?" },
        ],
        maxTokens: 512,
        sampling: { temperature: 0.5 },
      },
    });
  });

  test("a model that is gone is not found", async () => {
    const { provider } = start(() => {
      throw new EngineError("MODEL_NOT_INSTALLED", "m is not installed");
    });
    const progress = { report: () => undefined };
    const asked = provider.provideLanguageModelChatResponse(model, [], {}, progress, token);
    await expect(asked).rejects.toThrow("not found: m is not installed");
  });

  test("tokens are counted by the model itself", async () => {
    const { provider, requests } = start(() => ({ tokens: 7 }));
    expect(await provider.provideTokenCount(model, "some text", token)).toBe(7);
    expect(requests[0]?.params).toEqual({ model: "m", messages: [{ role: "user", content: "some text" }] });
  });

  test("an editor without the function is left alone", () => {
    host.missing = true;
    expect(() => start(() => []).registration).not.toThrow();
    expect(host.registered.size).toBe(0);
  });
});
