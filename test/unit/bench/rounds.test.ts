import { expect, test } from "vitest";
import { interleave } from "../../../bench/harness/rounds";

test.each([
  { rounds: 0, order: "" },
  { rounds: 1, order: "a0 b0 c0" },
  { rounds: 2, order: "a0 b0 c0 c1 b1 a1" },
  { rounds: 3, order: "a0 b0 c0 c1 b1 a1 a2 b2 c2" },
])("$rounds rounds: $order", async ({ rounds, order }) => {
  const calls: string[] = [];
  const values = await interleave(["a", "b", "c"], rounds, (name, round) => {
    calls.push(`${name}${round}`);
    return Promise.resolve(`${name}${round}`);
  });
  expect(calls.join(" ")).toBe(order);
  // Values lie by round, whatever the order they were taken in.
  for (const name of ["a", "b", "c"] as const) {
    expect(values.get(name)).toEqual(Array.from({ length: rounds }, (_, round) => `${name}${round}`));
  }
});

test("a failing sample ends the run", async () => {
  const failing = interleave(["a"], 2, () => Promise.reject(new Error("no")));
  await expect(failing).rejects.toThrow("no");
});

test("samples never overlap", async () => {
  let running = 0;
  await interleave(["a", "b"], 3, async () => {
    expect(++running).toBe(1);
    await Promise.resolve();
    running -= 1;
  });
});
