import { expect, it } from "vitest";
import { CrashBackoff } from "../../../src/engine/client/crash_backoff";

const second = 1000;

/** Waits in seconds after crashes at these seconds; `reset` is the user's wish for a restart. */
it.each<[name: string, events: (number | "reset")[], waits: number[]]>([
  ["one", [0], [0]],
  ["two", [0, 1], [0, 0]],
  ["three within a minute", [0, 1, 2], [0, 0, 5]],
  ["three in more than a minute", [0, 40, 80], [0, 0, 0]],
  ["every further one doubles the wait", [0, 1, 2, 8, 19, 40], [0, 0, 5, 10, 20, 40]],
  ["up to five minutes", [0, 1, 2, 8, 19, 40, 81, 162, 323, 630], [0, 0, 5, 10, 20, 40, 80, 160, 300, 300]],
  ["a quiet time forgives", [0, 1, 2, 200], [0, 0, 5, 0]],
  ["a restart by the user forgives", [0, 1, 2, "reset", 8], [0, 0, 5, 0]],
])("%s", (_, events, waits) => {
  const backoff = new CrashBackoff();
  const seen: number[] = [];
  for (const event of events) {
    if (event === "reset") backoff.reset();
    else seen.push(backoff.crashed(event * second) / second - event);
  }
  expect(seen).toEqual(waits);
});
