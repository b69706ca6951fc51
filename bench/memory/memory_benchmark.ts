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
import { comparisonRow, plainRow, type Row } from "../harness/report";
import { median } from "../harness/statistics";
import { timePasses, type PassTimesReport, type Setting, type StaticSplit } from "./pass_times";

interface Scenario {
  shape: SyntheticShape;
  label: string;
  layers: number;
  card: string;
  decodeTarget: number;
}

const contextLength = 2048;
const draftWidths = [4, 8, 16];
/** Of a prompt that decides which split is best for prompts. */
const promptWidth = 64;
const prefill = [promptWidth, 512];
const rounds = 3;

const scenarios: readonly Scenario[] = [
  { shape: "qwen2.5-coder-7b", label: "7B", layers: 28, card: "gtx1650-4gb", decodeTarget: 1.6 },
  { shape: "qwen2.5-coder-14b", label: "14B", layers: 48, card: "gtx1650-4gb", decodeTarget: 1.3 },
  { shape: "qwen2.5-coder-14b", label: "14B", layers: 48, card: "rtx4060-laptop-8gb", decodeTarget: 1.3 },
];

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
  return { rows, versions: { "llama.cpp": pins.llamaCpp.version }, disturbedSamples: 0 };
}

async function measure({ log, stops }: BenchmarkContext, scenario: Scenario, setting: Setting): Promise<Row[]> {
  const name = `${scenario.label} ${scenario.card}`;
  log(`${name}: looking for llama.cpp's best split`);
  const splits = await bestSplits(scenario, setting, stops, log, name);
  /** What is best at decoding need not be best at prompts. */
  const byWidth = [
    [splits.narrow, [1, ...draftWidths]],
    [splits.wide, prefill],
  ] as const;
  const ours: PassTimesReport[] = [];
  const theirs: PassTimesReport[] = [];
  for (let round = 0; round < rounds; round++) {
    log(`${name}: passes, round ${round + 1} of ${rounds}`);
    for (const upstream of round % 2 === 0 ? [false, true] : [true, false]) {
      for (const [split, widths] of upstream ? byWidth : [[null, [1, ...draftWidths, ...prefill]] as const]) {
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
      peer: `llama.cpp, ${describe(width >= promptWidth ? splits.wide : splits.narrow)}`,
      ours: seconds(ours, width).map((value) => value * 1000),
      theirs: seconds(theirs, width).map((value) => value * 1000),
      better: "lower",
      target,
    });
  const predictions = ours[0]?.passes.filter((pass) => pass.predicted > 0) ?? [];
  return [
    row("decode", 1, scenario.decodeTarget),
    ...draftWidths.map((width) => row(`pass of ${width}`, width, 1.5)),
    ...prefill.map((width) => row(`prefill ${width}`, width, 1)),
    ...predictions.map(({ width, predicted }) =>
      plainRow({
        id: `${name} predicted/measured, width ${width}`,
        unit: "",
        value: predicted / median(seconds(ours, width)),
      }),
    ),
    plainRow({ id: `${name} time to measure the machine`, unit: "s", value: ours[0]?.measureSeconds ?? 0 }),
  ];
}

function describe({ layers, memory, override }: StaticSplit): string {
  const networks = override && `feed-forward networks of ${override.split("|").length} layers on the processor`;
  return `${networks ?? `-ngl ${layers}`}, ${memory}`;
}

/**
 * The splits that are best at decoding and at a prompt of 64 tokens: whole layers, as many as fit and one fewer, and all
 * layers with the fewest networks left to the processor; each with mapped and with pinned weights.
 */
async function bestSplits(
  { layers }: Scenario,
  setting: Setting,
  stops: BenchmarkContext["stops"],
  log: BenchmarkContext["log"],
  name: string,
): Promise<{ narrow: StaticSplit; wide: StaticSplit }> {
  const counts = Array.from({ length: layers + 1 }, (_, index) => index);
  const whole = counts.map((less): StaticSplit => ({ layers: layers + 1 - less, memory: "mapped" }));
  const networks = counts.slice(1).map((count): StaticSplit => {
    const left = Array.from({ length: count }, (_, layer) => layer).join("|");
    return { layers: layers + 1, memory: "mapped", override: `^blk\\.(${left})\\.ffn_` };
  });
  const tried: { split: StaticSplit; decode: number; prefill: number }[] = [];
  const attempt = async (split: StaticSplit): Promise<boolean> => {
    const report = await timePasses(setting, split, [1, promptWidth], 5, stops);
    if (!report) return false;
    const [decode = NaN, prefill = NaN] = report.passes.map(({ seconds }) => median(seconds));
    tried.push({ split, decode, prefill });
    log(
      `${name}: ${describe(split)}: ${(decode * 1000).toFixed(1)} ms a token, ${(prefill * 1000).toFixed(0)} ms a prompt`,
    );
    return true;
  };
  for (const splits of [whole, networks]) {
    let fitted = 0;
    for (const split of splits) {
      if (!(await attempt(split))) continue;
      await attempt({ ...split, memory: "pinned" });
      if (++fitted === 2) break;
    }
  }
  const best = (figure: "decode" | "prefill"): StaticSplit => {
    const [first] = [...tried].sort((a, b) => a[figure] - b[figure]);
    if (!first) throw new Error(`${name}: expected a split that fits the card.`);
    return first.split;
  };
  return { narrow: best("decode"), wide: best("prefill") };
}
