import { describe, expect, test } from "vitest";
import type { NativeDivergence } from "../../../src/engine/native/addon";
import { judgeResult, judgeSource, mostDivergence, mostSurprise } from "../../../src/engine/quantise/check_result";
import { toEngineError } from "../../../src/shared/errors";
import { WEIGHT_TYPES, type WeightType } from "../../../src/shared/quantise";

const good: NativeDivergence = { tokens: 100, surprise: 2, meanKl: 0.01, sameTop: 0.95 };

function verdict(given: Partial<NativeDivergence>, type: WeightType = "Q4_K_M"): string {
  try {
    judgeResult({ ...good, ...given }, type);
    return "good";
  } catch (thrown) {
    const { code, message } = toEngineError(thrown);
    return `${code}: ${message}`;
  }
}

describe("a result", () => {
  test.each(WEIGHT_TYPES)("as %s may be as far away as its bound and no further", (type) => {
    const bound = mostDivergence[type];
    expect(verdict({ meanKl: bound }, type)).toBe("good");
    expect(verdict({ meanKl: bound * 1.01 }, type)).toContain("QUALITY_TOO_LOW");
  });

  const bad: [string, Partial<NativeDivergence>, string][] = [
    ["no numbers", { surprise: NaN, meanKl: NaN }, "not numbers"],
    ["no numbers, without a source", { surprise: NaN, meanKl: null, sameTop: null }, "not numbers"],
    ["a surprise without end", { surprise: Infinity, meanKl: null, sameTop: null }, "not numbers"],
    ["guesses, without a source", { surprise: mostSurprise + 1, meanKl: null, sameTop: null }, "finds plain text"],
    ["other predictions", { meanKl: 3 }, "3.000 nats per token"],
  ];
  test.each(bad)("with %s is refused", (_, given, expected) => {
    expect(verdict(given)).toContain("QUALITY_TOO_LOW");
    expect(verdict(given)).toContain(expected);
  });

  test("of a model that finds the text improbable itself is judged by the source alone", () => {
    expect(verdict({ surprise: mostSurprise + 1 })).toBe("good");
  });

  test("without a source is good when it makes sense of the text", () => {
    expect(verdict({ meanKl: null, sameTop: null })).toBe("good");
  });

  test("with a source that predicts no numbers is not blamed", () => {
    expect(verdict({ meanKl: NaN })).toContain("MODEL_INVALID: The predictions of the source are not numbers");
  });
});

test("a source that predicts no numbers is told by its path", () => {
  const judge = (surprise: number) => {
    judgeSource({ ...good, surprise, meanKl: null, sameTop: null }, "/models/own.gguf");
  };
  judge(mostSurprise + 1);
  expect(() => {
    judge(NaN);
  }).toThrow("/models/own.gguf are not numbers");
});
