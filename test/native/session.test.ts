import { setTimeout } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import type { GenerateOptions, NativeSession } from "../../src/engine/native/addon";
import { Cancellation, endless, expectCode, longPrompt, openBench, openEngine, type Bench } from "./support";

let bench: Bench;
const engine = openEngine();

beforeAll(async () => {
  bench = await openBench(engine);
});

async function generate(text: string, options: Partial<GenerateOptions> = {}, onText?: (text: string) => void) {
  const session = await bench.session();
  try {
    return await session.generate(
      { tokens: await bench.tokens(text), priority: "chat", maxTokens: 16, ...options },
      onText,
    );
  } finally {
    await session.close();
  }
}

/** Runs an endless answer until its first text has come. */
async function startAnswer(session: NativeSession, cancellation: InstanceType<typeof Cancellation>) {
  const tokens = await bench.tokens("Once");
  let answer: ReturnType<NativeSession["generate"]> | undefined;
  await new Promise<void>((resolve) => {
    answer = session.generate({ ...endless, tokens, priority: "chat", cancellation }, () => {
      resolve();
    });
  });
  if (!answer) throw new Error("unreachable");
  return { answer };
}

describe("confidence", () => {
  it("is told of the first line when asked for", async () => {
    const { confidence, tokens } = await generate("The capital of France is", { rate: true });
    expect(confidence?.tokens).toBeGreaterThan(0);
    expect(confidence?.tokens).toBeLessThanOrEqual(tokens.length + 1);
    expect(confidence?.mean).toBeLessThan(0);
    expect(confidence?.least).toBeLessThanOrEqual(confidence?.mean ?? 0);
    expect((await generate("The capital of France is")).confidence).toBeNull();
    await expect(generate("a", { rate: 1 as unknown as boolean })).rejects.toThrow(/rate.*true or false.*1/);
  });
});

describe("prefill", () => {
  it("computes only what follows the longest common prefix", async () => {
    const session = await bench.session();
    const prompt = await longPrompt(bench, 60);
    expect(await session.prefill({ tokens: prompt, priority: "warm" })).toMatchObject({
      promptTokens: 60,
      reusedTokens: 0,
      computedTokens: 60,
      cancelled: false,
    });
    expect(session.cachedTokens()).toEqual(prompt);
    const changed = prompt.slice();
    changed[40] = 7;
    expect(await session.prefill({ tokens: changed, priority: "warm" })).toMatchObject({
      reusedTokens: 40,
      computedTokens: 20,
    });
    expect(session.cachedTokens()).toEqual(changed);
    expect(await session.prefill({ tokens: changed.slice(0, 10), priority: "warm" })).toMatchObject({
      reusedTokens: 10,
      computedTokens: 0,
    });
    expect(session.cachedTokens()).toEqual(changed.slice(0, 10));
    await session.close();
  });

  it("takes its own copy of the prompt", async () => {
    const session = await bench.session();
    const prompt = await longPrompt(bench, 30);
    const given = prompt.slice();
    const prefill = session.prefill({ tokens: given, priority: "warm" });
    given.fill(-1);
    await prefill;
    expect(session.cachedTokens()).toEqual(prompt);
    // As a view into a larger buffer.
    await session.prefill({ tokens: prompt.subarray(5, 15), priority: "warm" });
    expect(session.cachedTokens()).toEqual(prompt.slice(5, 15));
    await session.close();
  });

  it("leaves the event loop free", async () => {
    const session = await bench.session({ batchSize: 16 });
    const prompt = await longPrompt(bench, 160);
    const prefill = session.prefill({ tokens: prompt, priority: "warm" });
    const sizes = new Set<number>();
    while (session.cachedTokens().length < prompt.length) {
      await setTimeout(1);
      sizes.add(session.cachedTokens().length);
    }
    await prefill;
    // The loop saw the cache grow batch by batch.
    expect(sizes.size).toBeGreaterThan(3);
    await session.close();
  });
});

describe("generate", () => {
  it("answers, streams what it returns, and settles after the last piece", async () => {
    const pieces: string[] = [];
    let settled = false;
    const session = await bench.session();
    const tokens = await bench.tokens("The capital of France is");
    const result = await session
      .generate({ tokens, priority: "chat", maxTokens: 12 }, (text) => {
        expect(settled).toBe(false);
        pieces.push(text);
      })
      .finally(() => (settled = true));
    expect(result.text).toContain("Paris");
    expect(pieces.join("")).toBe(result.text);
    expect(pieces.length).toBeGreaterThan(3);
    expect(result).toMatchObject({ finish: "length", promptTokens: tokens.length, computedTokens: tokens.length });
    expect(result.tokens).toHaveLength(12);
    expect(await bench.model.detokenize(result.tokens)).toBe(result.text);
    expect(session.cachedTokens()).toEqual(Int32Array.of(...tokens, ...result.tokens.slice(0, -1)));
    for (const time of [result.queuedMs, result.prefillMs, result.decodeMs]) expect(time).toBeGreaterThanOrEqual(0);
    const again = await session.generate({ tokens, priority: "chat", maxTokens: 12 });
    expect(again.text).toBe(result.text);
    expect(again).toMatchObject({ reusedTokens: tokens.length - 1, computedTokens: 1 });
    await session.close();
    await new Promise(setImmediate);
  });

  it("ends a chat answer by itself", async () => {
    const tokens = await bench.tokens([
      { text: "<|im_start|>user\nSay hi.<|im_end|>\n<|im_start|>assistant\n", special: true },
    ]);
    const result = await generate("", { tokens, maxTokens: 200 });
    expect(result.finish).toBe("stop");
    expect(result.text).not.toContain("<|im_end|>");
    expect(result.text.length).toBeGreaterThan(0);
  });

  it("stops before a stop string, of which no piece shows a part", async () => {
    const counting = "1, 2, 3, 4, 5, 6,";
    const plain = await generate(counting, { maxTokens: 24 });
    expect(plain.text).toContain(" 8, 9");
    const pieces: string[] = [];
    const stopped = await generate(counting, { maxTokens: 24, stop: ["nowhere", " 8, 9"] }, (text) =>
      pieces.push(text),
    );
    expect(stopped.finish).toBe("stop");
    expect(stopped.text).toBe(plain.text.slice(0, plain.text.indexOf(" 8, 9")));
    expect(pieces.join("")).toBe(stopped.text);
  });

  it("follows a grammar", async () => {
    const { text, finish } = await generate("Is the sky blue?", { sampler: { grammar: 'root ::= " yes" | " no"' } });
    expect([" yes", " no"]).toContain(text);
    expect(finish).toBe("stop");
    const json = await generate("A person as JSON: ", {
      maxTokens: 60,
      sampler: { grammar: 'root ::= "{\\"age\\":" [0-9] [0-9] "}"', temperature: 1, seed: 3 },
    });
    expect(JSON.parse(json.text)).toEqual({ age: expect.any(Number) as number });
  });

  it("hands out characters whole, also those of several tokens", async () => {
    const emojis = "😀👩‍👩‍👧🏳️‍🌈€ä你";
    const pieces: string[] = [];
    const result = await generate("Smile: ", { maxTokens: 200, sampler: { grammar: `root ::= "${emojis}"` } }, (text) =>
      pieces.push(text),
    );
    expect(result.text).toBe(emojis);
    expect(pieces.join("")).toBe(emojis);
    expect(result.tokens.length).toBeGreaterThan(pieces.length);
    for (const piece of pieces) expect(piece).not.toContain("\ufffd");
    // Cut off inside a character: that one is left out.
    const cut = await generate("Smile: ", { maxTokens: 1, sampler: { grammar: 'root ::= "😀"' } });
    expect(cut.text).toBe("");
    expect(cut.finish).toBe("length");
  });

  it("heals the token at the cursor", async () => {
    const healed = await generate("def add(a, b):\n    ", { beginWith: "retu", maxTokens: 8 });
    expect(healed.text).toMatch(/^rn /);
    expect((await bench.model.detokenize(healed.tokens)).startsWith("return ")).toBe(true);
  });

  it.each([0, 1, 42, 2 ** 31, 2 ** 32 - 1])("writes the same with seed %d", async (seed) => {
    const options = { maxTokens: 20, sampler: { temperature: 1.2, topK: 100, topP: 0.95, minP: 0.01, seed } };
    const first = await generate("Once upon a time", options);
    const again = await generate("Once upon a time", options);
    const other = await generate("Once upon a time", { ...options, sampler: { ...options.sampler, seed: 7 } });
    expect(again.text).toBe(first.text);
    expect(other.text).not.toBe(first.text);
  });

  it("repeats itself less with a penalty", async () => {
    const words = (text: string) => text.trim().split(/\s+/);
    const prompt = "spam spam spam spam spam spam spam spam";
    const plain = words((await generate(prompt, { maxTokens: 20 })).text);
    const varied = words((await generate(prompt, { maxTokens: 20, sampler: { repeatPenalty: 1.5 } })).text);
    expect(new Set(plain).size).toBeLessThan(new Set(varied).size);
  });

  it("writes no token that is ruled out, and one that is made likely enough again and again", async () => {
    const prompt = "The capital of France is";
    const usual = [...(await generate(prompt, { maxTokens: 8 })).tokens];
    const never = usual.map((token) => ({ token, bias: "never" as const }));
    const other = await generate(prompt, { maxTokens: 8, sampler: { logitBias: never } });
    expect(other.tokens.length).toBeGreaterThan(0);
    expect([...other.tokens].filter((token) => usual.includes(token))).toEqual([]);
    const [token = NaN] = usual;
    const insistent = await generate(prompt, { maxTokens: 8, sampler: { logitBias: [{ token, bias: 100 }] } });
    expect(new Set(insistent.tokens)).toEqual(new Set([token]));
  });
});

describe("cancellation", () => {
  it("ends an answer with what there is, and the session goes on", async () => {
    const session = await bench.session();
    const cancellation = new Cancellation();
    const { answer } = await startAnswer(session, cancellation);
    expect(cancellation.cancelled).toBe(false);
    cancellation.cancel();
    cancellation.cancel();
    expect(cancellation.cancelled).toBe(true);
    const result = await answer;
    expect(result).toMatchObject({ finish: "cancelled", cancelled: true });
    expect(result.tokens.length).toBeGreaterThan(0);
    const tokens = await bench.tokens("The capital of France is");
    expect((await session.generate({ tokens, priority: "chat", maxTokens: 4 })).text).toContain("Paris");
    await session.close();
  });

  it("ends a prefill and keeps what was computed", async () => {
    const session = await bench.session({ contextLength: 1024, batchSize: 16 });
    const tokens = await longPrompt(bench, 600);
    const cancellation = new Cancellation();
    const prefill = session.prefill({ tokens, priority: "warm", cancellation });
    while (session.cachedTokens().length < 32) await new Promise(setImmediate);
    cancellation.cancel();
    const { cancelled, computedTokens } = await prefill;
    expect(cancelled).toBe(true);
    expect(computedTokens).toBeLessThan(600);
    expect(session.cachedTokens()).toEqual(tokens.slice(0, computedTokens));
    await session.close();
  });

  it("before the call leaves the session as it is", async () => {
    const session = await bench.session();
    const prompt = await longPrompt(bench, 20);
    await session.prefill({ tokens: prompt, priority: "warm" });
    const cancellation = new Cancellation();
    cancellation.cancel();
    const tokens = await bench.tokens("Something else");
    const result = await session.generate({ ...endless, tokens, priority: "suggest", cancellation });
    expect(result).toMatchObject({ finish: "cancelled", text: "", computedTokens: 0 });
    expect(session.cachedTokens()).toEqual(prompt);
    await session.close();
  });

  it("does not wait for more urgent answers", async () => {
    const chat = new Cancellation();
    const { answer } = await startAnswer(await bench.session(), chat);
    const session = await bench.session();
    const waiting = new Cancellation();
    const warm = session.prefill({ tokens: await longPrompt(bench, 100), priority: "warm", cancellation: waiting });
    waiting.cancel();
    // Would never end if it waited: the chat is cancelled after it.
    expect(await warm).toMatchObject({ cancelled: true, computedTokens: 0 });
    await session.close();
    chat.cancel();
    await answer;
  });
});

describe("several sessions", () => {
  it("serve ghost text in the middle of a long chat prompt", async () => {
    const chat = await bench.session({ contextLength: 1024, batchSize: 16 });
    const ghost = await bench.session();
    const cancellation = new Cancellation();
    const ghostTokens = await bench.tokens("int main() {\n");
    const prefill = chat.prefill({ tokens: await longPrompt(bench, 1000), priority: "chat", cancellation });
    while (chat.cachedTokens().length === 0) await new Promise(setImmediate);
    const suggestion = await ghost.generate({ tokens: ghostTokens, priority: "suggest", maxTokens: 1 });
    expect(suggestion.tokens).toHaveLength(1);
    const computed = chat.cachedTokens().length;
    cancellation.cancel();
    await prefill;
    expect(computed).toBeGreaterThan(0);
    expect(computed).toBeLessThan(1000);
  });

  it("write at once what each writes alone", async () => {
    const prompts = ["Once upon a time there was", "def fibonacci(n):\n", "The weather in"];
    const alone = [];
    for (const prompt of prompts) alone.push((await generate(prompt)).text);
    const together = await Promise.all(prompts.map((prompt) => generate(prompt)));
    expect(together.map(({ text }) => text)).toEqual(alone);
  });
});

describe("limits", () => {
  it("one request at a time", async () => {
    const session = await bench.session();
    const cancellation = new Cancellation();
    const { answer } = await startAnswer(session, cancellation);
    const tokens = await bench.tokens("Hello");
    await expectCode(session.prefill({ tokens, priority: "warm" }), "SESSION_BUSY", "wait for it, cancel it");
    await expectCode(session.generate({ tokens, priority: "suggest", maxTokens: 1 }), "SESSION_BUSY");
    cancellation.cancel();
    await answer;
    expect((await session.generate({ tokens, priority: "chat", maxTokens: 2 })).tokens).toHaveLength(2);
    await session.close();
  });

  it("the length of the context", async () => {
    const session = await bench.session({ contextLength: 256 });
    const length = session.contextLength;
    expect(length).toBeGreaterThanOrEqual(256);
    const tokens = new Int32Array(length).fill(5);
    await expectCode(session.generate({ tokens, priority: "chat", maxTokens: 1 }), "CONTEXT_TOO_LONG", String(length));
    const longer = new Int32Array(length + 1).fill(5);
    await expectCode(session.prefill({ tokens: longer, priority: "warm" }), "CONTEXT_TOO_LONG", String(length + 1));
    expect(await session.prefill({ tokens, priority: "warm" })).toMatchObject({ computedTokens: length });
    const result = await session.generate({ ...endless, tokens: tokens.slice(0, length - 3), priority: "chat" });
    expect(result).toMatchObject({ finish: "length", reusedTokens: length - 4 });
    expect(result.tokens).toHaveLength(3);
    await session.close();
    await expectCode(bench.session({ contextLength: 8193 }), "CONTEXT_TOO_LONG", "8192");
  });

  it("closing cancels what runs, and ends with CLOSED", async () => {
    const session = await bench.session();
    const { answer } = await startAnswer(session, new Cancellation());
    await Promise.all([session.close(), session.close()]);
    expect((await answer).finish).toBe("cancelled");
    const tokens = await bench.tokens("Hello");
    await expectCode(session.prefill({ tokens, priority: "warm" }), "CLOSED", "create another one");
    await expectCode(session.generate({ tokens, priority: "chat", maxTokens: 1 }), "CLOSED");
    expect(session.cachedTokens()).toHaveLength(0);
    await session.close();
  });
});
