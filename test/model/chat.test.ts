import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ChatMessage, ChatParams, ChatResult } from "../../src/shared/chat";
import { toEngineError } from "../../src/shared/errors";
import { model, startEngine, type TestEngine } from "./engine";

let engine: TestEngine;
beforeAll(() => {
  engine = startEngine();
});
afterAll(() => engine.dispose());

interface Answer extends ChatResult {
  streamed: string;
}

/** Answers a question, or the conversation of user, assistant, user, … */
async function ask(texts: string | string[], changes: Partial<ChatParams> = {}, signal?: AbortSignal): Promise<Answer> {
  const messages: ChatMessage[] = [texts].flat().map((content, index) => ({
    role: index % 2 === 0 ? "user" : "assistant",
    content,
  }));
  let streamed = "";
  const result = await engine.client.request(
    "chat/generate",
    { model, messages, maxTokens: 128, sampling: { temperature: 0 }, ...changes },
    { onProgress: (piece) => (streamed += piece), ...(signal ? { signal } : {}) },
  );
  return { ...result, streamed };
}

describe("an answer", () => {
  it.each<[question: string | string[], expected: RegExp]>([
    ["What is the capital of France? Answer with one word.", /^Paris\.?$/],
    ["What does `len([1, 2, 3])` return in Python? Answer with the number only.", /\b3\b/],
    ["Write a Python function is_even(n). Code only.", /def is_even\(n\):[^]*% 2/],
    [["My name is Ada.", "Hello Ada!", "What is my name? Answer with the name only."], /^Ada\.?$/],
    ["Repeat exactly: naïve café 🎉 日本", /naïve café 🎉 日本/],
  ])("means what was asked for: %s", async (question, expected) => {
    const { text, streamed, finish } = await ask(question);
    expect(text.trim()).toMatch(expected);
    expect(streamed).toBe(text);
    expect(finish).toBe("stop");
  });

  it("ends at its length, at a stop string, and never shows a part of one", async () => {
    const question = "Count from 1 to 20, separated by commas.";
    expect(await ask(question, { maxTokens: 5 })).toMatchObject({ finish: "length", usage: { completionTokens: 5 } });
    const { text, streamed, finish } = await ask(question, { sampling: { temperature: 0, stop: [", 7, 8"] } });
    expect(finish).toBe("stop");
    expect(text).toBe(streamed);
    expect(text).toMatch(/5, 6$/);
  });

  it("follows a grammar", async () => {
    const grammar = 'root ::= "{\\"answer\\": " ("true" | "false") "}"';
    const { text } = await ask("Is water wet? Answer as JSON.", { sampling: { temperature: 0, grammar } });
    expect(JSON.parse(text)).toHaveProperty("answer");
  });

  it("is the same at temperature 0 and with the same seed, another with another seed", async () => {
    const question = "Write a short poem about rain.";
    const greedy = await Promise.all([ask(question, { maxTokens: 24 }), ask(question, { maxTokens: 24 })]);
    expect(greedy[0].text).toBe(greedy[1].text);
    const seeded = async (seed: number) =>
      (await ask(question, { maxTokens: 24, sampling: { temperature: 1, seed } })).text;
    // The second time the first answer would be guessed, and wide passes round differently.
    await engine.client.updateSettings({ speculation: "off" });
    expect(await seeded(7)).toBe(await seeded(7));
    expect(await seeded(8)).not.toBe(await seeded(7));
    await engine.client.updateSettings({ speculation: "auto" });
  });
});

describe("several requests", () => {
  it("of two conversations at once give what each gives alone", async () => {
    const questions = ["List three fruits, one per line.", "List three animals, one per line."];
    const alone = [await ask(questions[0] ?? ""), await ask(questions[1] ?? "")];
    const together = await Promise.all(questions.map((question) => ask(question)));
    expect(together.map(({ text }) => text)).toEqual(alone.map(({ text }) => text));
  });

  it("keep what a conversation has computed", async () => {
    const first = await ask("Name a colour. One word.");
    const next = await ask(["Name a colour. One word.", first.text, "Another one."]);
    expect(next.usage.reusedTokens).toBeGreaterThanOrEqual(first.usage.promptTokens);
  });

  it("of ghost text are answered in the middle of a long chat prompt", async () => {
    const order: string[] = [];
    const chat = ask(`${"This line is only here to be read. ".repeat(70)}\nSay yes.`, { maxTokens: 4 }).then(() =>
      order.push("chat"),
    );
    const ghost = engine.client
      .request("completion/complete", {
        ...{ model, path: "a.py", languageId: "python", prefix: "def add(a, b):\n    return ", suffix: "\n" },
        ...{ extracts: [], lines: "single", maxTokens: 8 },
      })
      .then(({ text }) => order.push(text));
    await Promise.all([chat, ghost]);
    expect(order).toEqual(["a + b", "chat"]);
  });

  it("that are cancelled keep what they had and leave the engine to the next", async () => {
    const controller = new AbortController();
    const stopping = engine.client.request(
      "chat/generate",
      { model, messages: [{ role: "user", content: "Tell a long story." }], maxTokens: 1000, sampling: { seed: 1 } },
      {
        signal: controller.signal,
        onProgress: () => {
          controller.abort();
        },
      },
    );
    const { finish, text, usage } = await stopping;
    expect(finish).toBe("cancelled");
    expect(text).not.toBe("");
    expect(usage.completionTokens).toBeLessThan(1000);
    expect((await ask("What is the capital of France? Answer with one word.")).text).toMatch(/Paris/);
  });

  it("computed ahead are not computed again", async () => {
    const messages: ChatMessage[] = [
      { role: "system", content: `You are a careful assistant. ${"Think before you answer. ".repeat(30)}` },
      { role: "user", content: "What is two plus two? Answer with the number." },
    ];
    const ahead = await engine.client.request("chat/prefill", { model, messages: messages.slice(0, 1), wake: true });
    expect(ahead?.computedTokens).toBeGreaterThan(100);
    const { usage, text } = await engine.client.request("chat/generate", {
      ...{ model, messages, maxTokens: 8, sampling: { temperature: 0 } },
    });
    expect(usage.reusedTokens).toBeGreaterThanOrEqual((ahead?.promptTokens ?? Infinity) - 1);
    expect(text).toMatch(/4/);
  });
});

it("a conversation longer than the context loses its oldest messages, not its system prompt", async () => {
  const filler = "Some text that fills the context of the model more and more. ".repeat(12);
  const turns = Array.from({ length: 8 }, (_, index): ChatMessage[] => [
    { role: "user", content: `${String(index)}: ${filler}` },
    { role: "assistant", content: "I see." },
  ]).flat();
  const { text, droppedMessages, contextLength } = await engine.client.request("chat/generate", {
    model,
    messages: [
      { role: "system", content: "You always answer with the single word BANANA." },
      ...turns,
      { role: "user", content: "What is the word?" },
    ],
    maxTokens: 16,
    sampling: { temperature: 0 },
  });
  expect(contextLength).toBe(1024);
  expect(droppedMessages).toBeGreaterThan(0);
  expect(text.toUpperCase()).toContain("BANANA");
});

it.each<[name: string, changes: Partial<ChatParams>, code: string]>([
  ["no message", { messages: [] }, "INVALID_ARGUMENT"],
  ["an answer of no tokens", { maxTokens: 0 }, "INVALID_ARGUMENT"],
  ["a temperature below 0", { sampling: { temperature: -1 } }, "INVALID_ARGUMENT"],
  ["a grammar with an error", { sampling: { grammar: "root ::= (" } }, "INVALID_ARGUMENT"],
  [
    "a question longer than the context",
    { messages: [{ role: "user", content: "word ".repeat(2000) }] },
    "CONTEXT_TOO_LONG",
  ],
  ["an unknown model", { model: "nothing" }, "MODEL_UNKNOWN"],
  ["a file that is no model", { model: `${process.cwd()}/package.json` }, "MODEL_INVALID"],
])("refused with a code, and the engine lives on: %s", async (_, changes, code) => {
  const { hostPid } = await engine.client.request("engine/status", { startEngine: true });
  const failure = await ask("Hello", changes).then(() => null, toEngineError);
  expect(failure?.code).toBe(code);
  expect((await engine.client.request("engine/status", { startEngine: true })).hostPid).toBe(hostPid);
});

describe("the engine", () => {
  it("tests itself", async () => {
    await engine.client.updateSettings(engine.settings);
    const steps = await engine.client.request("engine/selfTest", {});
    expect(steps.map(({ ok, name }) => [name, ok])).toEqual([
      ["Load the native engine", true],
      ["Find devices", true],
      ["Load the model for ghost text", true],
      ["Generate text with it", true],
      ["Load the model for chat", true],
      ["Generate text with it", true],
    ]);
  });

  it("says where a model lies, and gives its memory back", async () => {
    await ask("Hello", { maxTokens: 1 });
    const { models, devices, library } = await engine.client.request("engine/status", { startEngine: true });
    expect(library).toMatch(/^llama\.cpp v?\d/);
    expect(devices[0]?.kind).toBe("cpu");
    expect(models.map(({ ref }) => ref)).toContain(model);
    expect(models[0]?.placement.explanation.join(" ")).toContain("RAM");
    const { freedBytes } = await engine.client.request("engine/unload", {});
    expect(freedBytes).toBeGreaterThan(400e6);
    expect((await engine.client.request("engine/status", { startEngine: true })).models).toEqual([]);
  });
});
