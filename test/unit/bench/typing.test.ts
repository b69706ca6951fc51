import { describe, expect, test } from "vitest";
import { blocksOf, type CpuProfile, type ProfileNode } from "../../../bench/typing/blocks";
import { difference } from "../../../bench/typing/difference";
import { keystrokes } from "../../../bench/typing/keystrokes";
import { longFile } from "../../../bench/typing/typed_text";

describe("blocks of a thread", () => {
  const node = (id: number, functionName: string, url: string, children: number[] = []): ProfileNode => ({
    id,
    callFrame: { functionName, url, lineNumber: 9 },
    children,
  });
  const nodes = [
    node(1, "(root)", "", [2, 3, 4, 7]),
    node(2, "(idle)", ""),
    node(3, "(garbage collector)", ""),
    node(4, "emit", "node:events", [5]),
    node(5, "onEdit", "ours.js", [6]),
    node(6, "getText", "theirs.js"),
    node(7, "other", "theirs.js"),
  ];

  /** Pairs of a node and the milliseconds that it had. */
  function profile(samples: [node: number, milliseconds: number][]): CpuProfile {
    const lasted = samples.map(([, milliseconds]) => milliseconds * 1000);
    return { nodes, samples: samples.map(([id]) => id), timeDeltas: [0, ...lasted] };
  }

  test("tell what of them the thread was seen running", () => {
    const samples = Array.from({ length: 40 }, () => [6, 0.25] as [number, number]);
    const [block] = blocksOf(profile([...samples, [3, 8], [5, 12], [2, 1]]), (url) => url === "ours.js");
    expect(block).toMatchObject({ milliseconds: 30, running: 12 });
  });

  test.each<[name: string, samples: [number, number][], expected: [milliseconds: number, place: string][]]>([
    [
      "of our function and what it calls",
      [
        [5, 1],
        [6, 3],
        [2, 9],
      ],
      [[4, "onEdit:10"]],
    ],
    [
      "broken by others and by nothing to do",
      [
        [5, 1],
        [7, 1],
        [5, 2],
        [2, 1],
        [6, 3],
      ],
      [
        [1, "onEdit:10"],
        [2, "onEdit:10"],
        [3, "onEdit:10"],
      ],
    ],
    [
      "with the garbage collected in the middle",
      [
        [5, 1],
        [3, 4],
        [5, 1],
        [2, 1],
      ],
      [[6, "onEdit:10"]],
    ],
    [
      "without that at an end",
      [
        [3, 4],
        [5, 1],
        [3, 4],
        [2, 1],
      ],
      [[1, "onEdit:10"]],
    ],
    [
      "none of others",
      [
        [4, 9],
        [7, 9],
        [2, 1],
      ],
      [],
    ],
  ])("%s", (_, samples, expected) => {
    const blocks = blocksOf(profile(samples), (url) => url === "ours.js");
    expect(blocks.map(({ milliseconds, place }) => [milliseconds, place])).toEqual(expected);
  });
});

describe("what is added to a quantile", () => {
  const block = (from: number) => Array.from({ length: 20 }, (_, index) => from + index);

  test("is certain where every pair says so", () => {
    const pairs = [10, 12, 14, 16].map((from) => ({ withIt: block(from + 5), without: block(from) }));
    const { added, low, high } = difference(pairs, 0.5);
    expect(added).toBeCloseTo(5);
    expect(low).toBeGreaterThan(0);
    expect(high).toBeGreaterThanOrEqual(low);
  });

  test("is not where they contradict each other", () => {
    const pairs = [5, -5, 5, -5].map((more) => ({ withIt: block(20 + more), without: block(20) }));
    const { low, high } = difference(pairs, 0.5);
    expect(low).toBeLessThan(0);
    expect(high).toBeGreaterThan(0);
  });
});

describe("keystrokes", () => {
  const text = "return total / len(orders)\n".repeat(40);

  test("are the text, the same in every run and others for another seed", () => {
    const keys = keystrokes(text, 1);
    expect(keys.map(({ key }) => (key === "Enter" ? "\n" : key)).join("")).toBe(text);
    expect(keystrokes(text, 1)).toEqual(keys);
    expect(keystrokes(text, 2)).not.toEqual(keys);
  });

  test("have the gaps of somebody who stops now and then, before words", () => {
    const keys = keystrokes(text, 1);
    const gaps = keys.map(({ gap }) => gap).toSorted((a, b) => a - b);
    expect(gaps[gaps.length >> 1]).toBeGreaterThan(100);
    expect(gaps[gaps.length >> 1]).toBeLessThan(200);
    const pauses = keys.flatMap(({ gap }, index) => (gap >= 700 ? [keys[index - 1]?.key] : []));
    expect(pauses.length).toBeGreaterThan(10);
    expect(pauses.filter((key) => key !== " ").length).toBeLessThan(3);
  });
});

test("the long file has an empty line where is typed", () => {
  const { text, line } = longFile(20);
  const lines = text.split("\n");
  expect([lines[line - 2], lines[line - 1], lines[line]?.startsWith("def ")]).toEqual(["", "", true]);
  expect(lines.length).toBe(20 * 9 + 1);
});
