import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openHandle } from "../../bench/completion/whole_context";
import { Stops } from "../../bench/harness/stops";
import { ensureModel } from "../../scripts/fetch_model";
import { checkSuggestion } from "../../src/engine/completion/check_suggestion";
import { completeCode } from "../../src/engine/completion/complete_code";
import type { NativeModelHandle } from "../../src/engine/host/native_model_handle";
import type { CompletionCheckParams } from "../../src/shared/completion";
import { model } from "./engine";

const stops = new Stops();
/** In this process: a host checks in a quarter of the time at most, which a busy machine uses up. */
let main: NativeModelHandle;
beforeAll(async () => {
  const conditions = { modelPath: await ensureModel(model), threads: 2, contextLength: 1024 };
  main = await openHandle(".", conditions, { speculation: "auto" }, stops);
});
afterAll(() => stops.run());

function params(marked: string, suggestion: string): CompletionCheckParams {
  const [prefix = "", suffix = ""] = marked.split("‸");
  const place = { path: "add.py", languageId: "python", prefix, suffix, extracts: [], maxTokens: 48 };
  return { ...place, model: "another", mainModel: main.ref, lines: "auto", suggestion };
}

const sum = "def add(first, second):\n    return fir‸\n";
const { signal } = new AbortController();

describe("what a model says of a suggestion is what it would write itself, where that is", () => {
  it.each<[name: string, marked: string, suggestion: string, expected: RegExp]>([
    ["right in the middle of a word", sum, "st + second", /^st \+ second$/],
    ["right up to an operator", sum, "st - second", /^st \+ second$/],
    ["wrong from the beginning", sum, "ewall(second)", /^st \+ second$/],
    ["too long", sum, "st + second + third + fourth + fifth", /^st \+ second$/],
    ["too short", sum, "st", /^st \+ second$/],
    ["of several lines", "def is_even(n):‸\n", "\n    return n % 3 == 1", /^\n(.*\n)*? {4}return n % 2 == 0$/],
    ["with letters of several bytes", "größe = 3\nbreite = 4\nfläche = grö‸ * breite\n", "ßer", /^ße$/],
  ])("%s", async (_, marked, suggestion, expected) => {
    const checked = await checkSuggestion(main, params(marked, suggestion), { signal });
    expect(checked?.text).toMatch(expected);
    expect(checked?.finish).toBe("stop");
  });
});

it("what it would write itself it leaves as it is, and every token of it that it accepts saves a pass", async () => {
  const alone = await completeCode(main, params(sum, ""), { signal });
  const checked = await checkSuggestion(main, params(sum, alone.text), { signal });
  expect(checked?.text).toBe(alone.text);
  const { decodePasses, acceptedTokens, completionTokens } = checked?.usage ?? alone.usage;
  expect(decodePasses + acceptedTokens).toBeLessThanOrEqual(completionTokens + 1);
});

it("one that is called off leaves the next one whole", async () => {
  const controller = new AbortController();
  const asked = checkSuggestion(main, params(sum, "st + second"), { signal: controller.signal });
  controller.abort();
  expect((await asked)?.finish).toBe("cancelled");
  expect((await checkSuggestion(main, params(sum, "st + second"), { signal }))?.text).toBe("st + second");
});
