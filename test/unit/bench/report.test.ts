import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  comparisonRow,
  formatTable,
  limitRow,
  nearnessRow,
  plainRow,
  singleRow,
  writeReport,
  type Comparison,
  type Report,
} from "../../../bench/harness/report";

const comparison: Comparison = {
  id: "decode",
  unit: "tokens/s",
  peer: "other",
  ours: [97, 98, 99],
  theirs: [100, 100, 100],
  better: "higher",
  target: 0.97,
};

test.each([
  { name: "just good enough", change: {}, value: 98, ratio: 0.98, met: true },
  { name: "exactly the target", change: { ours: [97, 97, 97] }, value: 97, ratio: 0.97, met: true },
  { name: "missed", change: { ours: [90, 96, 99] }, value: 96, ratio: 0.96, met: false },
  { name: "rounding does not help", change: { ours: [96.996, 96.996, 96.996] }, value: 97, ratio: 0.97, met: false },
  { name: "lower is better", change: { better: "lower" as const }, value: 98, ratio: 1.02, met: true },
  { name: "without a target", change: { target: null }, value: 98, ratio: 0.98, met: null },
  { name: "four digits", change: { ours: [123.456, 123.456, 123.456] }, value: 123.5, ratio: 1.235, met: true },
])("comparison: $name", ({ change, value, ratio, met }) => {
  expect(comparisonRow({ ...comparison, ...change })).toEqual({
    id: "decode",
    unit: "tokens/s",
    peer: "other",
    peerValue: 100,
    target: "target" in change ? null : 0.97,
    value,
    ratio,
    met,
  });
});

test.each([
  { value: 0.5, ratio: 2, met: true },
  { value: 1, ratio: 1, met: true },
  { value: 2, ratio: 0.5, met: false },
  { value: 0, ratio: 1e6, met: true },
])("limit 1: $value", ({ value, ratio, met }) => {
  const row = limitRow({ id: "cancel", unit: "ms", value, limit: 1 });
  expect(row).toEqual({ id: "cancel", unit: "ms", value, peer: "limit", peerValue: 1, ratio, target: 1, met });
});

test.each([
  { name: "the same", ours: 100, ratio: 1, met: true },
  { name: "more", ours: 115, ratio: 0.8696, met: true },
  { name: "too much", ours: 118, ratio: 0.8475, met: false },
  { name: "less", ours: 85, ratio: 0.85, met: true },
  { name: "too little", ours: 84, ratio: 0.84, met: false },
])("nearness: $name", ({ ours, ratio, met }) => {
  const row = nearnessRow({ id: "pass", unit: "ms", peer: "predicted", ours: [ours], theirs: [100], target: 0.85 });
  expect(row).toMatchObject({ value: ours, peerValue: 100, ratio, met });
});

test("a row that is only reported promises nothing", () => {
  const nothing = { peer: null, peerValue: null, ratio: null, target: null, met: null };
  expect(plainRow({ id: "p50", unit: "ms", value: 0.123456 })).toEqual({
    id: "p50",
    unit: "ms",
    value: 0.1235,
    ...nothing,
  });
});

test("what was not measured is refused", () => {
  expect(() => plainRow({ id: "p50", unit: "ms", value: Number.NaN })).toThrow("row p50");
  expect(() => comparisonRow({ ...comparison, theirs: [100, Number.NaN, Number.NaN] })).toThrow("row decode");
});

const report: Report = {
  name: "stack",
  commit: "abc",
  machine: {
    cpu: "a CPU",
    logicalCores: 4,
    physicalCores: 2,
    memoryGiB: 8,
    os: "linux 6 x64",
    versions: { node: "20.0.0" },
    disturbedSamples: 0,
  },
  command: "npm run bench -- stack",
  rows: [
    comparisonRow(comparison),
    limitRow({ id: "cancel p99", unit: "ms", value: 40, limit: 30 }),
    plainRow({ id: "cancel median", unit: "ms", value: 8 }),
  ],
};

test("the table says what was met and what was missed", () => {
  expect(formatTable(report).split("\n")).toEqual([
    "                     value   peer        peer's  ratio   target",
    "decode         98 tokens/s  other  100 tokens/s  0.980  >= 0.97     met",
    "cancel p99           40 ms  limit         30 ms  0.750     >= 1  MISSED",
    "cancel median         8 ms",
  ]);
});

test("the file holds the report, in a folder that is made", () => {
  const scratch = mkdtempSync(join(tmpdir(), "nmos-report-"));
  try {
    const file = join(scratch, "new", "stack.json");
    writeReport(file, report);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(report);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});

test.each<[ours: number, theirs: number, better: "higher" | "lower", ratio: number | null]>([
  [2, 4, "higher", 0.5],
  [2, 4, "lower", 2],
  [3, 0, "higher", 1e6],
  [0, 3, "higher", 0],
  [0, 0, "higher", null],
])("one value of each side, %f and %f, %s is better: %s", (ours, theirs, better, ratio) => {
  expect(singleRow({ id: "a", unit: "ms", peer: "b", ours, theirs, better, target: 1 })).toMatchObject({
    ...{ value: ours, peerValue: theirs, ratio },
    met: ratio === null ? null : ratio >= 1,
  });
});
