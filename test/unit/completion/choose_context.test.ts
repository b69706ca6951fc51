import { describe, expect, test } from "vitest";
import { promptInTime, wholePrompt } from "../../../src/engine/completion/choose_context";
import { FakeModelHandle, fakeModelInfo } from "../support/fake_model_handle";

const info = fakeModelInfo(null, { fimPrefix: "<P>", fimSuffix: "<S>", fimMiddle: "<M>" });

/** 300 lines of ten characters, each of which the fake makes a token. */
const lines = Array.from({ length: 300 }, (_, index) => `line ${String(index).padStart(4, "0")}\n`);
const place = { path: "a.ts", prefix: lines.join(""), suffix: "", extracts: [], maxTokens: 64 };

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
