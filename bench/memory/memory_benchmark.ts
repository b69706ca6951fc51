/**
 * What placing, streaming and prefetching units of a model that is larger than the card gains over the best static split
 * of llama.cpp of the same version, on simulated cards: the card's work and copies take the time that the card's profile
 * says, the processor's work is real. With `--device` and `--vram-limit` it runs on so much of a real card instead. The
 * models are synthetic ones of real shapes.
 */
import pins from "../../native/engine_libraries.json";
import { ensureEngineLibraries } from "../../scripts/setup/engine_libraries";
import { buildBenchPrograms } from "../../scripts/setup/native_build";
import { ensureSyntheticModel } from "../../scripts/setup/synthetic_model";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { driverVersions } from "../gpu/driver_versions";
import { physicalCores } from "../harness/machine";
import { comparisonRow, type Row } from "../harness/report";
import { median } from "../harness/statistics";
import { cardScenarios } from "./real_card";
import { defaultContextLength, measureScenario, restoreRows, type Scenario } from "./scenario";
import { describeSplit, promptWidth } from "./static_splits";
import { timePasses, type PassTimesReport, type Setting, type StaticSplit } from "./pass_times";

const scenarios: readonly Scenario[] = [
  { shape: "qwen2.5-coder-7b", label: "7B", layers: 28, card: "gtx1650-4gb", decodeTarget: 1.6, ramLimit: 8 },
  { shape: "qwen2.5-coder-14b", label: "14B", layers: 48, card: "gtx1650-4gb", decodeTarget: 1.3 },
  // The product's own context, with which not even all KV cache fits the card.
  {
    shape: "qwen2.5-coder-14b",
    label: "14B",
    layers: 48,
    card: "gtx1650-4gb",
    contextLength: 8192,
    decodeTarget: 1,
  },
  { shape: "qwen2.5-coder-14b", label: "14B", layers: 48, card: "rtx4060-laptop-8gb", decodeTarget: 1.3 },
  // As much memory and as slow a bus as the first one has, and three times its arithmetic: prompts wait for the bus.
  { shape: "qwen2.5-coder-7b", label: "7B", layers: 28, card: "rtx3050-laptop-4gb", decodeTarget: 1 },
  { shape: "qwen2.5-coder-14b", label: "14B", layers: 48, card: "rtx3050-laptop-4gb", decodeTarget: 1 },
  { shape: "olmoe-1b-7b", label: "7B of 64 experts", layers: 16, card: "gtx1650-4gb", decodeTarget: 1 },
];

/** Where NMOS has nothing to gain and must cost nothing. */
const plainScenarios = [
  { label: "3B in graphics memory", layers: 37, card: "gtx1650-4gb" },
  { label: "3B without a card", layers: 0, card: "none" },
] as const;

/** Of these: the pages that a process gets make the passes of all its life up to a fifth faster or slower than those of another one. */
const plainRounds = 11;

export const memoryBenchmark: Benchmark = {
  name: "memory",
  summary:
    "passes over models larger than the card, against llama.cpp's best static split, on simulated cards or a real one",
  runsOnCards: true,
  run: runMemory,
};

async function runMemory(context: BenchmarkContext): Promise<BenchmarkResult> {
  const { passTimes } = await buildBenchPrograms();
  const { libraries } = await ensureEngineLibraries();
  const { card, quick } = context;
  const all = card ? cardScenarios(card) : scenarios;
  const rows: Row[] = [];
  for (const scenario of quick ? all.slice(0, 1) : all) {
    rows.push(...(await measureScenario(context, scenario, { passTimes, libraries, model: ensureSyntheticModel })));
  }
  if (!quick && !card) {
    const model = await ensureSyntheticModel("qwen2.5-coder-3b");
    for (const { label, layers, card } of plainScenarios) {
      const threads = physicalCores();
      const setting = { program: passTimes, libraries, model, card, threads, contextLength: defaultContextLength };
      rows.push(...(await measurePlain(context, label, { layers, memory: "mapped" }, setting)));
    }
  }
  const drivers = card ? await driverVersions(context.stops) : {};
  return { rows, versions: { "llama.cpp": pins.llamaCpp.version, ...drivers } };
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
  for (let round = 0; round < plainRounds; round++) {
    log(`${label}: passes, round ${round + 1} of ${plainRounds}`);
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
