import { describe, expect, test } from "vitest";
import { promptInTime, wholePrompt } from "../../../src/engine/completion/choose_context";
import { FakeModelHandle, fakeModelInfo } from "../support/fake_model_handle";

const info = fakeModelInfo(null, { fimPrefix: "<P>", fimSuffix: "<S>", fimMiddle: "<M>" });

/** Lines of ten characters, each of which the fake makes a token. */
const linesTo = (end: number) =>
  Array.from({ length: end }, (_, index) => `line ${String(index).padStart(4, "0")}\n`).join("");
const place = { path: "a.ts", prefix: linesTo(300), suffix: "", extracts: [], maxTokens: 64 };

/** How many of the lines before the cursor are in the prompt. */
async function linesAsked(given: { speed?: number; cachedLines?: number }): Promise<number> {
  const fake = new FakeModelHandle(info, 4096);
  fake.prefillSpeed = given.speed;
  const whole = await fake.detokenize((await wholePrompt(fake, place)).tokens);
  fake.cached = given.cachedLines === undefined ? "" : whole.slice(0, "<P><S><M>".length + given.cachedLines * 10);
  const { tokens } = await promptInTime(fake, place);
  return (await fake.detokenize(tokens)).split("\n").length - 1;
}

describe("lines of context", () => {
  test.each<[name: string, given: Parameters<typeof linesAsked>[0], atLeast: number, atMost: number]>([
    ["at first, when nobody knows how fast the model is, few", {}, 8, 50],
    ["of a slow model, few", { speed: 0.01 }, 8, 50],
    ["of a model that computes some in time, some", { speed: 1 }, 50, 100],
    ["of a fast one, all that a prompt takes", { speed: 100 }, 160, 256],
    ["of a slow one that has computed them already, all", { speed: 0.01, cachedLines: 1000 }, 160, 256],
    ["of a slow one that has computed nearly all of them, all", { speed: 0.3, cachedLines: 160 }, 160, 256],
    ["of a slow one that has computed half of them, few", { speed: 0.3, cachedLines: 80 }, 8, 50],
  ])("%s", async (_, given, atLeast, atMost) => {
    const asked = await linesAsked(given);
    expect(asked).toBeGreaterThanOrEqual(atLeast);
    expect(asked).toBeLessThanOrEqual(atMost);
  });
});

describe("when the beginning of the context moves while the user types", () => {
  /** A slow model that has computed the whole context at line 300 and what was typed since, up to the end of these lines. */
  async function typedTo(end: number) {
    const fake = new FakeModelHandle(info, 8192);
    fake.prefillSpeed = 0.3;
    const before = await fake.detokenize((await wholePrompt(fake, place)).tokens);
    fake.cached = before + linesTo(end).slice(linesTo(300).length);
    const now = { ...place, prefix: `${linesTo(end)}let` };
    const shown = async ({ tokens, brief }: Awaited<ReturnType<typeof wholePrompt>>) => ({
      text: await fake.detokenize(tokens),
      brief,
    });
    return {
      before,
      whole: await shown(await wholePrompt(fake, now)),
      asked: await shown(await promptInTime(fake, now)),
    };
  }

  test("what was computed goes on to serve", async () => {
    const { before, whole, asked } = await typedTo(360);
    expect(whole.text.startsWith(before)).toBe(false);
    expect(asked).toEqual({ text: before + linesTo(360).slice(linesTo(300).length), brief: false });
  });

  test("in a pause it moves", async () => {
    const { before, whole } = await typedTo(360);
    expect(whole.brief).toBe(false);
    expect(whole.text.length).toBeLessThanOrEqual(2560);
    expect(before.startsWith(whole.text.slice(0, 20))).toBe(false);
  });

  test("what has become far longer than the context is to be serves no more", async () => {
    expect((await typedTo(440)).asked.brief).toBe(true);
  });
});

test("a faster model gets more context, and keeps it while it is a little slower", async () => {
  const fake = new FakeModelHandle(info, 32768);
  const there = { ...place, prefix: linesTo(1500) };
  const length = async (speed: number) => {
    fake.prefillSpeed = speed;
    return (await wholePrompt(fake, there)).tokens.length;
  };
  const [slow, fast, slower, again] = [await length(1), await length(5), await length(3), await length(1)];
  expect(fast).toBeGreaterThan(3 * slow);
  expect([slower, again]).toEqual([fast, slow]);
});

test("a faster model that has computed nothing yet begins with the context of others", async () => {
  const fake = new FakeModelHandle(info, 32768);
  fake.prefillSpeed = 2.5;
  const { tokens, brief } = await promptInTime(fake, { ...place, prefix: linesTo(1500) });
  expect(brief).toBe(true);
  expect(tokens.length).toBeLessThanOrEqual(2500);
  expect(tokens.length).toBeGreaterThan(1500);
});
