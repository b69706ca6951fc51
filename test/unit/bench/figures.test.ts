import { expect, test } from "vitest";
import type { Report } from "../../../bench/harness/report";
import { figures, headlineTable, withFigures } from "../../../scripts/generate_figures";

const report: Report = {
  name: "stack",
  commit: "0123456789ab",
  machine: {
    cpu: "a CPU",
    logicalCores: 4,
    physicalCores: 2,
    memoryGiB: 8,
    os: "linux 6 x64",
    versions: { node: "20.0.0", "llama.cpp": "v0.4.0" },
    disturbedSamples: 0,
  },
  command: "npm run bench -- stack",
  rows: [
    {
      id: "decode",
      value: 59.5,
      unit: "tokens/s",
      peer: "llama-bench",
      peerValue: 60,
      ratio: 0.9917,
      target: 0.97,
      met: true,
    },
    { id: "cancel p99", value: 20, unit: "ms", peer: "limit", peerValue: 30, ratio: 1.5, target: 1, met: true },
    { id: "cancel median", value: 8, unit: "ms", peer: null, peerValue: null, ratio: null, target: null, met: null },
  ],
};

test("a table of what is compared, and its conditions", () => {
  expect(figures([report]).split("\n")).toEqual([
    "### stack",
    "",
    "| measured | NMOS | compared with | | ratio |",
    "| --- | ---: | --- | ---: | ---: |",
    "| decode | 59.5 tokens/s | llama-bench | 60 tokens/s | 0.99 |",
    "| cancel p99 | 20 ms | limit | 30 ms |  |",
    "",
    "`npm run bench -- stack` at commit 0123456789ab on 2 cores of a CPU, 8 GiB, linux 6 x64; node 20.0.0, llama.cpp 0.4.0.",
  ]);
});

test("of the first run all that was measured is shown", () => {
  const rows = report.rows.map((row) => ({ ...row, target: null }));
  expect(figures([{ ...report, name: "first-run", rows }])).toContain("| cancel median | 8 ms |  |  |  |");
});

test("headlines are rows under other names, and missing ones are an error", () => {
  const headline = { label: "one token", report: "stack", id: "decode" };
  expect(headlineTable([report], [headline])).toContain(
    "| one token | 59.5 tokens/s | llama-bench | 60 tokens/s | 0.99 |",
  );
  for (const missing of [{ report: "memory" }, { id: "prefill" }, { id: "cancel median" }]) {
    expect(() => headlineTable([report], [{ ...headline, ...missing }])).toThrow("no comparison");
  }
});

test("disturbed samples are owned up to, and missing results as well", () => {
  const disturbed = { ...report, machine: { ...report.machine, disturbedSamples: 2 } };
  expect(figures([disturbed])).toContain("disturbed 2 samples");
  expect(figures([])).toBe("No results are committed yet.");
});

test.each([
  { readme: "a <!-- figures -->old<!-- /figures --> b", expected: "a <!-- figures -->\n\nnew\n\n<!-- /figures --> b" },
  { readme: "a <!-- figures --> b", expected: null },
  { readme: "<!-- /figures --><!-- figures -->", expected: null },
])("figures in $readme", ({ readme, expected }) => {
  if (expected === null) expect(() => withFigures(readme, "new")).toThrow("markers");
  else expect(withFigures(readme, "new")).toBe(expected);
});
