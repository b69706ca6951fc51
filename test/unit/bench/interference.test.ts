import { expect, test } from "vitest";
import { QuietSampler, busyTicks, processTicks } from "../../../bench/harness/interference";

test.each([
  {
    name: "idle and waiting for disks do not count",
    stat: "cpu  1 2 4 1000 1000 8 16 32 0 0\ncpu0 9 9 9 9\n",
    busy: 63,
  },
  { name: "an old kernel without steal", stat: "cpu  1 2 4 1000 0 8 16\n", busy: 31 },
  { name: "not the first line", stat: "btime 1\ncpu  5 0 5 7 0 0 0 0\n", busy: 10 },
  { name: "no such line", stat: "cpu0 1 2 3\n", busy: 0 },
])("busy ticks: $name", ({ stat, busy }) => {
  expect(busyTicks(stat)).toBe(busy);
});

const rest = "S 1 1 1 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 1 0 100 1000 10";

test.each([
  { name: "a plain name", stat: `42 (node) ${rest}` },
  { name: "a name with blanks and parentheses", stat: `42 (my (odd) name) S) ${rest}` },
])("ticks of a process with its children: $name", ({ stat }) => {
  expect(processTicks(stat)).toBe(110);
});

test("without patience every sample is taken once, at once", async () => {
  const sampler = new QuietSampler({ processIds: () => [], patienceMs: 0, log: () => undefined });
  let taken = 0;
  await expect(sampler.sample("one", () => Promise.resolve(++taken))).resolves.toBe(1);
  expect(taken).toBe(1);
});

test("processes that have gone are no load", async () => {
  const sampler = new QuietSampler({ processIds: () => [2 ** 22 + 1], patienceMs: 0, log: () => undefined });
  await expect(sampler.sample("one", () => Promise.resolve("value"))).resolves.toBe("value");
});
