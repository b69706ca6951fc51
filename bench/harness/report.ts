/** A benchmark's result: its JSON contract, the rows' arithmetic and the printed table. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Machine } from "./machine";
import { median, medianRatio, quantile } from "./statistics";

/** One figure. `value` and `peerValue` are in `unit`; `ratio` is better when larger, whatever the unit. */
export interface Row {
  id: string;
  value: number;
  unit: string;
  /** What it is compared with: a program measured in the same run, or a limit; null where there is no comparison. */
  peer: string | null;
  peerValue: number | null;
  ratio: number | null;
  /** Smallest `ratio` that is good enough; null where none is promised. */
  target: number | null;
  met: boolean | null;
}

export interface Report {
  name: string;
  /** Abbreviated commit, with `-dirty` when tracked files outside the results differed from it. */
  commit: string;
  machine: Machine;
  command: string;
  rows: Row[];
}

export interface Comparison {
  id: string;
  unit: string;
  peer: string;
  /** Values of the same rounds, in the same order. */
  ours: readonly number[];
  theirs: readonly number[];
  better: "higher" | "lower";
  target: number | null;
}

/** A row from paired samples: medians as values, the median of the pairwise ratios as ratio. */
export function comparisonRow({ id, unit, peer, ours, theirs, better, target }: Comparison): Row {
  const ratio = better === "higher" ? medianRatio(ours, theirs) : medianRatio(theirs, ours);
  return finish({ id, value: median(ours), unit, peer, peerValue: median(theirs), ratio, target });
}

/** A row for a value that another one shall be near to: the ratio is that of the smaller to the larger, and at least `target`. */
export function nearnessRow({ ours, theirs, ...row }: Omit<Comparison, "better">): Row {
  const ratio = medianRatio(ours, theirs);
  return finish({ ...row, value: median(ours), peerValue: median(theirs), ratio: Math.min(ratio, 1 / ratio) });
}

/** A row from one value of each side. */
export function singleRow({
  ours,
  theirs,
  ...rest
}: Omit<Comparison, "ours" | "theirs"> & { ours: number; theirs: number }): Row {
  const { better, ...row } = rest;
  const ratio = better === "higher" ? ours / theirs : theirs / ours;
  // Of nothing and nothing there is none.
  return finish({ ...row, value: ours, peerValue: theirs, ratio: Number.isNaN(ratio) ? null : ratio });
}

/** A row for a value that must stay under `limit`: the ratio says how many times smaller it is. */
export function limitRow({ id, unit, value, limit }: { id: string; unit: string; value: number; limit: number }): Row {
  return finish({ id, value, unit, peer: "limit", peerValue: limit, ratio: limit / value, target: 1 });
}

/** The median and the 99th percentile, which must stay under `limit`; null: they are only reported. */
export function percentileRows({
  id,
  values,
  limit,
  ...row
}: {
  id: string;
  unit: string;
  values: readonly number[];
  limit: number | null;
}): Row[] {
  return [0.5, 0.99].map((q) => {
    const one = { ...row, id: `${id}, p${String(100 * q)}`, value: quantile(values, q) };
    return limit === null ? plainRow(one) : limitRow({ ...one, limit });
  });
}

/** A row that is only reported. */
export function plainRow({ id, unit, value }: { id: string; unit: string; value: number }): Row {
  return finish({ id, value, unit, peer: null, peerValue: null, ratio: null, target: null });
}

function finish(row: Omit<Row, "met">): Row {
  for (const number of [row.value, row.peerValue, row.ratio]) {
    if (Number.isNaN(number)) throw new RangeError(`row ${row.id}: expected measured numbers, got ${number}`);
  }
  // JSON has no infinity: a cost too small to measure is reported as a very large ratio.
  const ratio = row.ratio === null ? null : Math.min(row.ratio, 1e6);
  return {
    ...row,
    value: rounded(row.value),
    peerValue: row.peerValue === null ? null : rounded(row.peerValue),
    ratio: ratio === null ? null : rounded(ratio),
    met: ratio === null || row.target === null ? null : ratio >= row.target,
  };
}

/** Four significant digits: more would claim a precision that no run repeats. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

export function formatTable(report: Report): string {
  const header = ["", "value", "peer", "peer's", "ratio", "target", ""];
  const body = report.rows.map((row) => [
    row.id,
    `${row.value} ${row.unit}`,
    row.peer ?? "",
    row.peerValue === null ? "" : `${row.peerValue} ${row.unit}`,
    row.ratio === null ? "" : row.ratio.toFixed(3),
    row.target === null ? "" : `>= ${row.target}`,
    row.met === null ? "" : row.met ? "met" : "MISSED",
  ]);
  const widths = header.map((title, column) =>
    Math.max(title.length, ...body.map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: string[]): string =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd();
  return [line(header), ...body.map(line)].join("\n");
}

export function writeReport(file: string, report: Report): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}
