import { expect, test } from "vitest";
import { AheadBudget } from "../../../src/engine/host/ahead_budget";

test("a burst may be computed at once, and a quarter of the time from then on", () => {
  const budget = new AheadBudget(0);
  let spent = 0;
  for (let now = 0; now < 600_000; now += 1000) {
    if (budget.left(now) === 0) continue;
    budget.spend(1000);
    spent += 1000;
  }
  expect(spent).toBeGreaterThan(0.25 * 600_000);
  expect(spent).toBeLessThanOrEqual(0.25 * 600_000 + 32_000);
});

test("what was not spent is kept for a burst, not for hours", () => {
  const budget = new AheadBudget(0);
  budget.left(3_600_000);
  budget.spend(30_000);
  expect(budget.left(3_600_000)).toBe(0);
  budget.spend(1000);
  expect(budget.left(3_600_000)).toBe(0);
  expect(budget.left(3_608_000)).toBe(1000);
});

test("nothing is begun with what would be used up in the midst of a step", () => {
  const budget = new AheadBudget(0);
  budget.spend(30_000);
  expect(budget.left(3_996)).toBe(0);
  expect(budget.left(4_000)).toBe(1000);
});
