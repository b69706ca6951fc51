import { describe, expect, it } from "vitest";
import { AwakeClock } from "../../../src/engine/awake_clock";

const minute = 60_000;

describe("the time in which the machine was awake", () => {
  it.each<[what: string, times: number[], passed: number]>([
    ["passes", [1, 2, 30_000], 30_000],
    ["does not while it sleeps", [1000, 1000 + 8 * 60 * minute, 2000 + 8 * 60 * minute], 1000 + minute + 1000],
    ["does not go back when the clock is set", [50_000, 50_000 - 60 * minute, 51_000 - 60 * minute], 51_000],
    ["does not leap when it is set forward", [10, 365 * 24 * 60 * minute], 10 + minute],
  ])("%s", (_, times, passed) => {
    let time = 0;
    const clock = new AwakeClock(() => time);
    let last = 0;
    for (time of times) {
      const now = clock.now();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
    expect(last).toBe(passed);
  });
});
