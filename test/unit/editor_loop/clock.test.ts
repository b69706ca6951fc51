import { expect, test } from "vitest";
import { systemClock } from "../../../src/engine/editor_loop/clock";

test("the clock calls back when the time has passed, never before", async () => {
  const delays = Array.from({ length: 200 }, (_, index) => 1 + index * 0.173);
  const early = await Promise.all(
    delays.map(
      (delay) =>
        new Promise<boolean>((resolve) => {
          const due = systemClock.now() + delay;
          systemClock.after(delay, () => {
            resolve(systemClock.now() < due);
          });
        }),
    ),
  );
  expect(early.filter(Boolean)).toEqual([]);
});

test("what is called off does not come", async () => {
  let calls = 0;
  const callOff = systemClock.after(5, () => ++calls);
  callOff();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(calls).toBe(0);
});
