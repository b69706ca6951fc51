import type { SyntheticShape } from "../../scripts/setup/synthetic_model";
import type { BenchmarkContext } from "../benchmark";
import { physicalCores } from "../harness/machine";
import { comparisonRow, limitRow, nearnessRow, plainRow, type Row } from "../harness/report";
import { median } from "../harness/statistics";
import { isRealCard } from "./real_card";
import { bestSplits, describeSplit, promptWidth } from "./static_splits";
import { timePasses, type PassTimes, type PassTimesReport } from "./pass_times";

export interface Scenario {
  shape: SyntheticShape;
  label: string;
  layers: number;
  /** As in Setting. */
  card: string;
  /** Tokens; {@link defaultContextLength} where it is left out, else rows are named with it. */
  contextLength?: number;
  decodeTarget: number;
  /** GB of RAM that the process may take at most. */
  ramLimit?: number;
}

/** What a run needs besides its scenarios. */
export interface MemoryTools {
  passTimes: string;
  libraries: string;
  model: (shape: SyntheticShape) => Promise<string>;
}

export const defaultContextLength = 2048;
const draftWidths = [4, 8, 16];
const prefill = [promptWidth, 512];
/** Takes so long that the other widths are measured more often. */
const longPrefill = 2048;
const rounds = 3;
/** Milliseconds: who types again shall not wait for the bus. */
const cancelLimit = 5;

/** What the names of all its rows begin with. */
export function scenarioName({
  label,
  card,
  contextLength,
}: Pick<Scenario, "label" | "card" | "contextLength">): string {
  return `${label} ${card}${contextLength === undefined ? "" : ` context ${contextLength}`}`;
}

/**
 * All rows of one model on one card. With `quick` those of a real one come from one round without the longest prompt; of
 * simulated ones memory_benchmark.ts leaves out scenarios instead.
 */
export async function measureScenario(
  { log, stops, quick }: Pick<BenchmarkContext, "log" | "stops" | "quick">,
  scenario: Scenario,
  { passTimes, libraries, model }: MemoryTools,
): Promise<Row[]> {
  const { card, shape, contextLength = defaultContextLength } = scenario;
  const threads = physicalCores();
  const setting = { program: passTimes, libraries, model: await model(shape), card, threads, contextLength };
  const isBrief = quick && isRealCard(card);
  const name = scenarioName(scenario);
  log(`${name}: looking for llama.cpp's best split`);
  const splits = await bestSplits(scenario.layers, setting, stops, log, name);
  const ours: PassTimesReport[] = [];
  const theirs: PassTimesReport[] = [];
  const roundsHere = isBrief ? 1 : rounds;
  const prompts = isBrief ? prefill : [...prefill, longPrefill];
  for (let round = 0; round < roundsHere; round++) {
    log(`${name}: passes, round ${round + 1} of ${roundsHere}`);
    const wide = round === 0 ? prompts : prefill;
    const byWidth = [
      [splits.narrow, [1, ...draftWidths]],
      [splits.wide, wide],
    ] as const;
    for (const upstream of round % 2 === 0 ? [false, true] : [true, false]) {
      for (const [split, widths] of upstream ? byWidth : [[null, [1, ...draftWidths, ...wide]] as const]) {
        const report = await timePasses(setting, split, widths, 7, stops);
        if (!report) throw new Error(`${name}: the split that fitted before does not fit now.`);
        (upstream ? theirs : ours).push(report);
      }
    }
  }
  log(`${name}: ${ours[0]?.explanation ?? ""}`);
  const seconds = (reports: PassTimesReport[], width: number): number[] =>
    reports.flatMap(({ passes }) => passes.filter((pass) => pass.width === width).map((pass) => median(pass.seconds)));
  const row = (id: string, width: number, target: number): Row =>
    comparisonRow({
      id: `${name} ${id}`,
      unit: "ms",
      peer: `llama.cpp, ${describeSplit(width >= promptWidth ? splits.wide : splits.narrow)}`,
      ours: seconds(ours, width).map((value) => value * 1000),
      theirs: seconds(theirs, width).map((value) => value * 1000),
      better: "lower",
      target,
    });
  const passes = (width: number) =>
    ours.flatMap((report) => report.passes.filter((pass) => pass.width === width && pass.predicted > 0));
  const milliseconds = (width: number, of: (pass: PassTimes) => number) => passes(width).map((pass) => of(pass) * 1000);
  const measured = (width: number) => milliseconds(width, (pass) => median(pass.seconds));
  /** Against what the card's own work allows at best. */
  const bound = (width: number): Row =>
    comparisonRow({
      id: `${name} prefill ${width}`,
      unit: "ms",
      peer: "the longer of copying and computing",
      ours: measured(width),
      theirs: milliseconds(width, copyOrCompute),
      better: "lower",
      target: 1 / 1.15,
    });
  const prediction = (width: number): Row =>
    nearnessRow({
      id: `${name} pass of ${width}`,
      unit: "ms",
      peer: "predicted",
      ours: measured(width),
      theirs: milliseconds(width, ({ predicted }) => predicted),
      target: 0.85,
    });
  const copyOrCompute = ({ cardSeconds, uploadSeconds }: PassTimes) => Math.max(cardSeconds, uploadSeconds);
  const narrowSplit = `llama.cpp, ${describeSplit(splits.narrow)}`;
  return [
    row("decode", 1, scenario.decodeTarget),
    ...draftWidths.map((width) => row(`pass of ${width}`, width, 1.5)),
    ...prompts.map((width) => row(`prefill ${width}`, width, 1)),
    // Of a real card nobody knows what it did when.
    ...(isRealCard(card) ? [] : prompts).map(bound),
    ...[1, ...draftWidths, ...prefill].map(prediction),
    comparisonRow({
      id: `${name} load and first token`,
      unit: "s",
      peer: narrowSplit,
      ours: ours.map(({ loadSeconds }) => loadSeconds),
      theirs: theirs.filter(({ passes: [first] }) => first?.width === 1).map(({ loadSeconds }) => loadSeconds),
      better: "lower",
      target: 1 / 1.1,
    }),
    ...restoreRows(name, ours),
    ...besideRows(name, ours, seconds(ours, 1)),
    ...ramRows(name, ours, scenario.ramLimit),
    limitRow({
      id: `${name} time to measure the machine`,
      unit: "s",
      value: ours[0]?.measureSeconds ?? NaN,
      limit: 3,
    }),
  ];
}

/** None where no graphics memory can be given back. */
export function restoreRows(name: string, reports: PassTimesReport[]): Row[] {
  const restores = reports.filter(({ restoredBytes = 0 }) => restoredBytes > 0);
  if (restores.length === 0) return [];
  const cancelled = restores.flatMap(({ cancelSeconds = [] }) => cancelSeconds.map((seconds) => seconds * 1000));
  const cancelRow = (what: string, value: number): Row =>
    limitRow({ id: `${name} ${what} from cancelling a restore to its end`, unit: "ms", value, limit: cancelLimit });
  return [
    comparisonRow({
      id: `${name} restore ${((restores[0]?.restoredBytes ?? 0) / 1e9).toFixed(1)} GB`,
      unit: "s",
      peer: "the card's bus",
      ours: restores.map(({ restoreSeconds = 0 }) => restoreSeconds),
      theirs: restores.map(({ restoredBytes = 0, pinnedBandwidth = 1 }) => restoredBytes / pinnedBandwidth),
      better: "lower",
      target: 1 / 1.1,
    }),
    ...(cancelled.length > 0
      ? [cancelRow("median", median(cancelled)), cancelRow("longest", Math.max(...cancelled))]
      : []),
  ];
}

/** Passes of one token while memory is filled, beside those with all of it filled. */
function besideRows(name: string, reports: PassTimesReport[], filled: number[]): Row[] {
  const beside = reports.map(({ besideSeconds = [] }) => besideSeconds);
  if (beside.some((one) => one.length === 0)) return [];
  return [
    comparisonRow({
      id: `${name} pass of 1 while graphics memory is filled again`,
      unit: "ms",
      peer: "with all of it filled",
      ours: beside.map((one) => median(one) * 1000),
      theirs: filled.map((one) => one * 1000),
      better: "lower",
      target: null,
    }),
  ];
}

function ramRows(name: string, reports: PassTimesReport[], limit: number | undefined): Row[] {
  const row = {
    id: `${name} RAM at most`,
    unit: "GB",
    value: Math.max(...reports.map(({ peakBytes = NaN }) => peakBytes)) / 1e9,
  };
  return [limit === undefined ? plainRow(row) : limitRow({ ...row, limit })];
}
