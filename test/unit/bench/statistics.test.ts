import { expect, test } from "vitest";
import { mean, median, medianRatio, percentage, quantile, seededRandom, sum } from "../../../bench/harness/statistics";

test.each([
  { values: [5], q: 0, expected: 5 },
  { values: [5], q: 1, expected: 5 },
  { values: [3, 1, 2], q: 0, expected: 1 },
  { values: [3, 1, 2], q: 1, expected: 3 },
  { values: [3, 1, 2], q: 0.5, expected: 2 },
  { values: [1, 2, 3, 4], q: 0.5, expected: 2.5 },
  { values: [10, 20], q: 0.95, expected: 19.5 },
  { values: Array.from({ length: 101 }, (_, index) => index), q: 0.99, expected: 99 },
])("quantile $q of $values.length values is $expected", ({ values, q, expected }) => {
  const before = [...values];
  expect(quantile(values, q)).toBeCloseTo(expected, 10);
  expect(values).toEqual(before);
});

test.each([
  { values: [], q: 0.5 },
  { values: [1], q: -0.1 },
  { values: [1], q: 1.1 },
  { values: [1], q: Number.NaN },
])("quantile $q of $values is refused", ({ values, q }) => {
  expect(() => quantile(values, q)).toThrow(RangeError);
});

test.each([
  { values: [4, 1, 3], expected: 3 },
  { values: [1, 100], expected: 50.5 },
])("median of $values", ({ values, expected }) => {
  expect(median(values)).toBe(expected);
});

test("sum, mean and percentage, of nothing 0", () => {
  expect([sum([1, 2, 6]), mean([1, 2, 6]), percentage(1, 4)]).toEqual([9, 3, 25]);
  expect([sum([]), mean([]), percentage(0, 0)]).toEqual([0, 0, 0]);
});

test("the median of ratios takes pairs, not medians", () => {
  // A slow machine in the second round halves both sides and leaves the ratio alone.
  expect(medianRatio([100, 50, 100], [100, 50, 100])).toBe(1);
  expect(medianRatio([10, 30, 20], [10, 10, 40])).toBe(1);
  expect(() => medianRatio([1], [1, 2])).toThrow(RangeError);
});

test.each([0, 1, 42, 2 ** 32 - 1])("random numbers from the seed %d repeat and fill [0, 1)", (seed) => {
  const take = (): number[] => {
    const random = seededRandom(seed);
    return Array.from({ length: 1000 }, () => random());
  };
  const values = take();
  expect(take()).toEqual(values);
  expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  expect(new Set(values).size).toBeGreaterThan(990);
  expect(median(values)).toBeGreaterThan(0.4);
  expect(median(values)).toBeLessThan(0.6);
});
