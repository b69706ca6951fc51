import { expect, test } from "vitest";
import { matchedShare } from "../../../bench/completion/cases";

test.each<[suggestion: string, expected: string, share: number]>([
  ["a + b;", "a + b;", 1],
  ["a + b;\nmore", "a + b; ", 1],
  ["a - b;", "a + b;", 2 / 6],
  ["", "a", 0],
  ["", "", 1],
  ["a + b; c", "a + b;", 0.99],
])("%j of %j is right: %f", (suggestion, expected, share) => {
  expect(matchedShare(suggestion, expected)).toBeCloseTo(share);
});
