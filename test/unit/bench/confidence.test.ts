import { describe, expect, test } from "vitest";
import { confidenceRows, samplesOf } from "../../../bench/completion/confidence_benchmark";
import { fitLogistic, toldApart, type Sample } from "../../../bench/completion/logistic_regression";

/** Samples that are right with a probability that a logistic model of two features says. */
function samples(count: number): Sample[] {
  let state = 7;
  const random = (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
  return Array.from({ length: count }, () => {
    const features = [random() * 4 - 2, random() * 100];
    const probability = 1 / (1 + Math.exp(-(1 + 2 * (features[0] ?? 0))));
    return { features, isRight: random() < probability };
  });
}

describe("a logistic model", () => {
  test("that is fitted finds what the samples follow", () => {
    const { intercept, weights } = fitLogistic(samples(4000));
    expect(intercept).toBeCloseTo(1, 0);
    expect(weights[0]).toBeGreaterThan(1.5);
    expect(weights[0]).toBeLessThan(2.3);
    expect(weights[1]).toBeCloseTo(0, 1);
  });

  test.each<[weight: number, share: number]>([
    [1, 0.75],
    [-1, 0.25],
    [0, 0.5],
  ])("with the weight %d tells %d of the pairs apart", (weight, share) => {
    const some = [
      { features: [1], isRight: true },
      { features: [3], isRight: true },
      { features: [0], isRight: false },
      { features: [2], isRight: false },
    ];
    expect(toldApart({ intercept: 0, weights: [weight] }, some)).toBe(share);
  });
});

test("the samples are the suggestions, right where they are what the line had", () => {
  const confidence = { tokens: 2, mean: -0.5, least: -1 };
  const expectations = ["b;", "b;", "b;"].map((expected) => ({ file: "a.ts", prefix: "a", suffix: "", expected }));
  const texts = ["b;", "c;", ""].map((text) => ({ text, confidence }));
  expect(samplesOf(expectations, texts)).toEqual([
    { features: [-1, -0.5, 0.01], isRight: true },
    { features: [-1, -0.5, 0.01], isRight: false },
  ]);
});

test("a half of the samples is judged by a model of the other half", () => {
  // Right where the first feature is above -1, in both halves.
  const separate = Array.from({ length: 40 }, (_, index) => {
    const isRight = index % 4 < 2;
    return { features: [isRight ? -0.5 : -4, -0.3, 0], isRight };
  });
  const valueOf = (id: RegExp) => confidenceRows(separate).find((row) => id.test(row.id))?.value;
  expect(valueOf(/judged/)).toBe(20);
  expect(valueOf(/told apart/)).toBe(100);
  expect(valueOf(/high.*shown suggestions that are right/)).toBe(100);
  expect(valueOf(/high.*still shown/)).toBe(100);
  expect(valueOf(/high.*hidden/)).toBe(100);
});
