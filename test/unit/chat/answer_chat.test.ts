import { describe, expect, test } from "vitest";
import { answerChat, countChatTokens, prefillChat } from "../../../src/engine/chat/answer_chat";
import type { ChatMessage, ChatParams } from "../../../src/shared/chat";
import { FakeModelHandle, fakeModelInfo } from "../support/fake_model_handle";

/** Two characters around every message, two before the answer: lengths are easy to count. */
const template =
  "{% for m in messages %}{{ m.role[0] }}{{ m.content }}.{% endfor %}{% if add_generation_prompt %}a:{% endif %}";

const question: ChatMessage = { role: "user", content: "hi" };

function model(contextLength: number, answer?: ConstructorParameters<typeof FakeModelHandle>[2]): FakeModelHandle {
  return new FakeModelHandle(fakeModelInfo(template), contextLength, answer);
}

async function answer(fake: FakeModelHandle, params: Partial<ChatParams> = {}) {
  const { signal } = new AbortController();
  const pieces: string[] = [];
  const onText = (text: string) => {
    pieces.push(text);
  };
  const result = await answerChat(fake, { model: "auto", messages: [question], ...params }, { signal, onText });
  return { result, text: pieces.join(""), call: fake.calls[0] };
}

test("an answer streams, and says what it cost", async () => {
  const { result, text, call } = await answer(model(4096, { text: "yes", finish: "stop" }));
  expect(call).toMatchObject({ prompt: "uhi.a:", priority: "chat", stop: [] });
  expect(text).toBe("yes");
  expect(result).toEqual({
    text: "yes",
    finish: "stop",
    usage: {
      promptTokens: 6,
      reusedTokens: 2,
      completionTokens: 3,
      queuedMs: 1,
      prefillMs: 2,
      decodeMs: 3,
      decodePasses: 4,
      draftedTokens: 6,
      acceptedTokens: 5,
      draftModelTokens: 3,
      acceptedDraftModelTokens: 2,
      savedMs: 7,
    },
    droppedMessages: 0,
    contextLength: 4096,
  });
});

test("the caller's signal reaches the model", async () => {
  const fake = model(4096);
  const { signal } = new AbortController();
  await answerChat(fake, { model: "auto", messages: [question] }, { signal, onText: () => undefined });
  await prefillChat(fake, { messages: [question] }, { signal });
  expect(fake.calls.map((call) => call.signal)).toEqual([signal, signal]);
});

test.each(["stop", "length", "cancelled"] as const)("the answer ended by: %s", async (finish) => {
  expect((await answer(model(4096, { text: "", finish }))).result.finish).toBe(finish);
});

describe("length of an answer", () => {
  function check(contextLength: number, wanted: number | undefined, expected: number): void {
    test(`${wanted ?? "unlimited"} in ${contextLength}`, async () => {
      const { call } = await answer(model(contextLength), wanted === undefined ? {} : { maxTokens: wanted });
      expect(call?.maxTokens).toBe(expected);
    });
  }

  check(32768, undefined, 2048);
  check(32768, 10, 10);
  check(32768, 5000, 5000);
  check(1000, undefined, 994);
  check(1000, 5000, 994);
  check(8, undefined, 2);
});

describe("a length that is none", () => {
  test.each([0, -1, 1.5, Number.NaN])("%s", async (maxTokens) => {
    await expect(answer(model(4096), { maxTokens })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("sampling", () => {
  function check(sampling: ChatParams["sampling"], sampler: object, stop: string[] = []): void {
    test(JSON.stringify(sampling ?? null), async () => {
      const { call } = await answer(model(4096), sampling ? { sampling } : {});
      expect([call?.sampler, call?.stop]).toEqual([sampler, stop]);
    });
  }

  check(undefined, {});
  check({}, {});
  check({ stop: ["\n\n", "END"] }, {}, ["\n\n", "END"]);
  check({ temperature: 0 }, { temperature: 0 });
  check({ temperature: 1, seed: 7 }, { temperature: 1, seed: 7 });
  check({ temperature: 1, seed: 0, topK: 40 }, { temperature: 1, seed: 0, topK: 40 });
  check({ temperature: 1 }, { temperature: 1, seed: expect.any(Number) as number });
  check({ grammar: "root ::= [a-z]" }, { grammar: "root ::= [a-z]" });
  check({ logitBias: [{ token: 7, bias: "never" }] }, { logitBias: [{ token: 7, bias: "never" }] });
});

test("the oldest messages give way, a quarter of the context stays for the answer", async () => {
  const old: ChatMessage[] = [
    { role: "system", content: "S" },
    { role: "user", content: "x".repeat(40) },
    { role: "assistant", content: "y".repeat(40) },
  ];
  const { result, call } = await answer(model(100), { messages: [...old, question] });
  expect(call?.prompt).toBe("sS.uhi.a:");
  expect(result.droppedMessages).toBe(2);
  const kept = await answer(model(200), { messages: [...old, question] });
  expect(kept.result.droppedMessages).toBe(0);
});

test("a question beyond the context fails with its length and the room there is", async () => {
  const messages: ChatMessage[] = [{ role: "user", content: "x".repeat(100) }];
  await expect(answer(model(100), { messages })).rejects.toMatchObject({
    code: "CONTEXT_TOO_LONG",
    message: expect.stringMatching(/104 tokens.* 75 fit/) as string,
  });
});

test("a prefill has the lowest priority and begins as the answer's prompt does", async () => {
  const fake = model(4096);
  const cost = await prefillChat(fake, { messages: [question] }, { signal: new AbortController().signal });
  expect(fake.calls).toMatchObject([{ prompt: "uhi", priority: "warm" }]);
  expect(cost).toEqual({ promptTokens: 3, computedTokens: 1, computeMs: 2, cancelled: false });
});

describe("what of a conversation is computed ahead", () => {
  const long = (length: number): ChatMessage => ({ role: "user", content: "x".repeat(length) });
  const reply: ChatMessage = { role: "assistant", content: "ok" };
  function check(name: string, messages: ChatMessage[], expected: string[]): void {
    test(name, async () => {
      const fake = model(100);
      await prefillChat(fake, { messages }, { signal: new AbortController().signal });
      expect(fake.calls.map(({ prompt }) => prompt)).toEqual(expected);
    });
  }

  check("the last message as far as it has come", [long(2), reply, { role: "user", content: "Wh" }], ["uxx.aok.uWh"]);
  check("the system prompt alone", [{ role: "system", content: "S" }], ["sS"]);
  check("what the answer will be given, without the oldest messages", [long(60), reply, long(9)], ["uxxxxxxxxx"]);
  check("nothing of a question that does not fit", [long(200)], []);
});

test("tokens are counted as for an answer, BOS included", async () => {
  expect(await countChatTokens(model(512), [question])).toEqual({ tokens: 6, contextLength: 512 });
  const withBos = new FakeModelHandle(fakeModelInfo(template, { bos: "<s>" }), 512);
  expect(await countChatTokens(withBos, [question])).toEqual({ tokens: 7, contextLength: 512 });
  const writesBos = new FakeModelHandle(fakeModelInfo(`{{ bos_token }}${template}`, { bos: "^" }), 512);
  expect(await countChatTokens(writesBos, [question])).toEqual({ tokens: 7, contextLength: 512 });
});

test("without messages there is nothing to answer or to prefill, and no tokens", async () => {
  const { signal } = new AbortController();
  await expect(answer(model(512), { messages: [] })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await expect(prefillChat(model(512), { messages: [] }, { signal })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
  });
  expect(await countChatTokens(model(512), [])).toEqual({ tokens: 0, contextLength: 512 });
});
