/**
 * What placing, streaming and prefetching units of a model that is larger than the card gains over the best static split
 * of llama.cpp of the same version, on simulated cards: the card's work and copies take the time that the card's profile
 * says, the processor's work is real. The models are synthetic ones of real shapes.
 */
import pins from "../../native/engine_libraries.json";
import { ensureEngineLibraries } from "../../scripts/setup/engine_libraries";
import { buildBenchPrograms } from "../../scripts/setup/native_build";
import { ensureSyntheticModel, type SyntheticShape } from "../../scripts/setup/synthetic_model";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { physicalCores } from "../harness/machine";
import { comparisonRow, limitRow, type Row } from "../harness/report";
import { median } from "../harness/statistics";
import { bestSplits, describeSplit, promptWidth } from "./static_splits";
import { timePasses, type PassTimes, type PassTimesReport, type Setting, type StaticSplit } from "./pass_times";

interface Scenario {
  shape: SyntheticShape;
  label: string;
  layers: number;
  /** As in Setting. */
  card: string;
  decodeTarget: number;
}

const contextLength = 2048;
const draftWidths = [4, 8, 16];
const prefill = [promptWidth, 512];
/** Takes so long that the other widths are measured more often. */
const longPrefill = 2048;
const rounds = 3;

const scenarios: readonly Scenario[] = [
  { shape: "qwen2.5-coder-7b", label: "7B", layers: 28, card: "gtx1650-4gb", decodeTarget: 1.6 },
  { shape: "qwen2.5-coder-14b", label: "14B", layers: 48, card: "gtx1650-4gb", decodeTarget: 1.3 },
  { shape: "qwen2.5-coder-14b", label: "14B", layers: 48, card: "rtx4060-laptop-8gb", decodeTarget: 1.3 },
  {
    shape: "qwen2.5-coder-14b",
    label: "14B",
    layers: 48,
    card: "gtx1650-4gb+rtx3050-laptop-4gb",
    decodeTarget: 1.3,
  },
  { shape: "olmoe-1b-7b", label: "7B of 64 experts", layers: 16, card: "gtx1650-4gb", decodeTarget: 1 },
];

/** Where NMOS has nothing to gain and must cost nothing. */
const plainScenarios = [
  { label: "3B in graphics memory", layers: 37, card: "gtx1650-4gb" },
  { label: "3B without a card", layers: 0, card: "none" },
] as const;

export const memoryBenchmark: Benchmark = {
  name: "memory",
  summary: "passes over models larger than the card, against llama.cpp's best static split, on simulated cards",
  run: runMemory,
};

async function runMemory(context: BenchmarkContext): Promise<BenchmarkResult> {
  const { passTimes } = await buildBenchPrograms();
  const { libraries } = await ensureEngineLibraries();
  const rows: Row[] = [];
  for (const scenario of context.quick ? scenarios.slice(0, 1) : scenarios) {
    const model = await ensureSyntheticModel(scenario.shape);
    const threads = physicalCores();
    const setting = { program: passTimes, libraries, model, card: scenario.card, threads, contextLength };
    rows.push(...(await measure(context, scenario, setting)));
  }
  if (!context.quick) {
    const model = await ensureSyntheticModel("qwen2.5-coder-3b");
    for (const { label, layers, card } of plainScenarios) {
      const setting = { program: passTimes, libraries, model, card, threads: physicalCores(), contextLength };
      rows.push(...(await measurePlain(context, label, { layers, memory: "mapped" }, setting)));
    }
  }
  return { rows, versions: { "llama.cpp": pins.llamaCpp.version } };
}

async function measure({ log, stops }: BenchmarkContext, scenario: Scenario, setting: Setting): Promise<Row[]> {
  const name = `${scenario.label} ${scenario.card}`;
  log(`${name}: looking for llama.cpp's best split`);
  const splits = await bestSplits(scenario.layers, setting, stops, log, name);
  const ours: PassTimesReport[] = [];
  const theirs: PassTimesReport[] = [];
  for (let round = 0; round < rounds; round++) {
    log(`${name}: passes, round ${round + 1} of ${rounds}`);
    const wide = round === 0 ? [...prefill, longPrefill] : prefill;
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
  /** Against what the planner, or the card's own work, allows at best. */
  const bound = (id: string, width: number, peer: string, least: (pass: PassTimes) => number, target: number): Row =>
    comparisonRow({
      id: `${name} ${id}`,
      unit: "ms",
      peer,
      ours: passes(width).map((pass) => median(pass.seconds) * 1000),
      theirs: passes(width).map((pass) => least(pass) * 1000),
      better: "lower",
      target,
    });
  const copyOrCompute = ({ cardSeconds, uploadSeconds }: PassTimes) => Math.max(cardSeconds, uploadSeconds);
  const narrowSplit = `llama.cpp, ${describeSplit(splits.narrow)}`;
  return [
    row("decode", 1, scenario.decodeTarget),
    ...draftWidths.map((width) => row(`pass of ${width}`, width, 1.5)),
    ...[...prefill, longPrefill].map((width) => row(`prefill ${width}`, width, 1)),
    ...[...prefill, longPrefill].map((width) =>
      bound(`prefill ${width}`, width, "the longer of copying and computing", copyOrCompute, 1 / 1.15),
    ),
    ...[1, ...draftWidths, ...prefill].map((width) =>
      bound(`pass of ${width}`, width, "predicted", ({ predicted }) => predicted, 0.85),
    ),
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
    limitRow({
      id: `${name} time to measure the machine`,
      unit: "s",
      value: ours[0]?.measureSeconds ?? 0,
      limit: 3,
    }),
  ];
}

/** None where no graphics memory can be given back. */
function restoreRows(name: string, reports: PassTimesReport[]): Row[] {
  const restores = reports.filter(({ restoredBytes = 0 }) => restoredBytes > 0);
  if (restores.length === 0) return [];
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
  ];
}

async function measurePlain(
  { log, stops }: BenchmarkContext,
  label: string,
  split: StaticSplit,
  setting: Setting,
): Promise<Row[]> {
  const widths = [1, promptWidth];
  const ours: PassTimesReport[] = [];
  const theirs: PassTimesReport[] = [];
  for (let round = 0; round < rounds; round++) {
    log(`${label}: passes, round ${round + 1} of ${rounds}`);
    for (const upstream of round % 2 === 0 ? [false, true] : [true, false]) {
      const report = await timePasses(setting, upstream ? split : null, widths, 15, stops);
      if (!report) throw new Error(`${label}: expected the model to fit.`);
      (upstream ? theirs : ours).push(report);
    }
  }
  const passes = widths.map((width, index) => {
    const milliseconds = (reports: PassTimesReport[]) =>
      reports.map(({ passes }) => median(passes[index]?.seconds ?? []) * 1000);
    return comparisonRow({
      id: `${label} ${width === 1 ? "decode" : `prefill ${width}`}`,
      unit: "ms",
      peer: `llama.cpp, ${describeSplit(split)}`,
      ours: milliseconds(ours),
      theirs: milliseconds(theirs),
      better: "lower",
      target: 0.99,
    });
  });
  return [...passes, ...restoreRows(label, ours)];
}
