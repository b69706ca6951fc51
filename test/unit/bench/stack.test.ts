import { expect, test } from "vitest";
import { tokensPerSecond } from "../../../bench/peers/llama_bench";
import { untilLongEnough } from "../../../bench/stack/contender";
import { deliveryDelays, firstTokenAt, parseEvents } from "../../../bench/stack/probed_generation";
import { PromptSource, promptMessages } from "../../../bench/stack/prompts";
import { cancellationRows, decodeRows, overheadRows, prefillRows } from "../../../bench/stack/rows";
import type { ChatMessage } from "../../../src/shared/chat";

const wordsIn = (messages: readonly ChatMessage[]): string[] => messages.flatMap(({ content }) => content.split(" "));
const countWords = (messages: readonly ChatMessage[]): Promise<number> => Promise.resolve(wordsIn(messages).length);

test.each([20, 64, 67, 515])("a prompt of %d tokens has exactly so many", async (tokens) => {
  const prompt = await new PromptSource(countWords).next(tokens);
  expect(prompt.tokens).toBe(tokens);
  expect(wordsIn(prompt.messages)).toHaveLength(tokens);
});

test("a prompt shorter than its frame is refused", async () => {
  await expect(new PromptSource(countWords).next(3)).rejects.toThrow("3 tokens");
});

test("prompts that follow each other share no beginning, and repeat from run to run", async () => {
  const first = (prompt: { messages: ChatMessage[] }): string => wordsIn(prompt.messages)[0] ?? "";
  const source = new PromptSource(countWords);
  const starts = [];
  for (let count = 0; count < 20; count++) starts.push(first(await source.next(30)));
  expect(new Set(starts).size).toBe(20);
  expect(promptMessages(7, 50)).toEqual(promptMessages(7, 50));
});

test.each([
  { name: "one sample", json: '[{"samples_ts":[12.5]}]', expected: 12.5 },
  { name: "no test", json: "[]", expected: null },
  { name: "two tests", json: '[{"samples_ts":[1]},{"samples_ts":[2]}]', expected: null },
  { name: "two repetitions", json: '[{"samples_ts":[1,2]}]', expected: null },
])("output of llama-bench: $name", ({ json, expected }) => {
  if (expected === null) expect(() => tokensPerSecond(json)).toThrow("one sample");
  else expect(tokensPerSecond(json)).toBe(expected);
});

test.each([
  { answers: [7], expected: 7 },
  { answers: [null, null, 7], expected: 7 },
  { answers: [null, null, null, null, null, 7], expected: null },
])("answers $answers until one is long enough", async ({ answers, expected }) => {
  const left = [...answers];
  const value = untilLongEnough(() => Promise.resolve(left.shift() ?? null));
  if (expected === null) await expect(value).rejects.toThrow("length limit");
  else await expect(value).resolves.toBe(expected);
});

test("moments of a probed generation", () => {
  const line = '{"calledAt":1000,"queuedMs":0.5,"prefillMs":20,"decodeMs":18,"textsAt":[1021,1039]}';
  const [event, ...others] = parseEvents(`${line}\n\n`);
  expect(others).toEqual([]);
  expect(event && firstTokenAt(event)).toBe(1020.5);
  expect(event && deliveryDelays(event.textsAt, [1021.25, 1039.5])).toEqual([0.25, 0.5]);
  expect(event && deliveryDelays(event.textsAt, [1021.25])).toEqual([]);
});

test("rows compare with both peers and keep to the limits", () => {
  const speeds = new Map([
    ["nmos", [98, 98]],
    ["llama-bench", [100, 100]],
    ["node-llama-cpp", [49, 49]],
  ] as const);
  const prefill = new Map(
    [...speeds].map(([name, values]) => [
      name,
      values.map((value) => ({ tokensPerSecond: value, firstTextMs: name === "llama-bench" ? null : 1000 / value })),
    ]),
  );
  const rows = [
    ...prefillRows("1B", 64, prefill),
    ...decodeRows("1B", speeds),
    ...overheadRows("1B", { wholeMs: [0.5, 0.5], socketMs: [0.2] }),
    ...cancellationRows("1B", [10, 40]),
  ];
  expect(rows.map(({ id, peer, ratio, met }) => [id, peer, ratio, met])).toEqual([
    ["1B prefill 64", "llama-bench", 0.98, true],
    ["1B prefill 64", "node-llama-cpp", 2, null],
    ["1B first text 64", "node-llama-cpp", 2, null],
    ["1B decode", "llama-bench", 0.98, true],
    ["1B decode", "node-llama-cpp", 2, null],
    ["1B token overhead p95", "limit", 2, true],
    ["1B token overhead median", null, null, null],
    ["1B token overhead, socket p95", null, null, null],
    ["1B cancel p99", "limit", 0.7557, false],
    ["1B cancel median", null, null, null],
  ]);
});
