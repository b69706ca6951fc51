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

async function measure({ log, quick, stops }: BenchmarkContext, scenario: Scenario, setting: Setting): Promise<Row[]> {
  const name = `${scenario.label} ${scenario.card}`;
  log(`${name}: looking for llama.cpp's best split`);
  const split = await bestSplit(scenario, setting, stops, log, name);
  const rounds = quick ? 1 : 3;
  const prefill = quick ? [64] : [64, 512];
  const ours: PassTimesReport[] = [];
  const theirs: PassTimesReport[] = [];
  for (let round = 0; round < rounds; round++) {
    log(`${name}: passes, round ${round + 1} of ${rounds}`);
    for (const side of round % 2 === 0 ? [null, split] : [split, null]) {
      const narrow = await timePasses(setting, side, [1, ...draftWidths], 7, stops);
      // Some wide passes of the processor take minutes: they are measured once.
      const wide = round === 0 ? await timePasses(setting, side, prefill, 1, stops) : null;
      if (!narrow) throw new Error(`${name}: the split that fitted before does not fit now.`);
      (side ? theirs : ours).push({ ...narrow, passes: [...narrow.passes, ...(wide?.passes ?? [])] });
    }
  }
  log(`${name}: ${ours[0]?.explanation ?? ""}`);
  const seconds = (reports: PassTimesReport[], width: number): number[] =>
    reports.flatMap(({ passes }) => passes.filter((pass) => pass.width === width).map((pass) => median(pass.seconds)));
  const row = (id: string, width: number, target: number): Row =>
    comparisonRow({
      id: `${name} ${id}`,
      unit: "ms",
      peer: `llama.cpp, ${describe(split)}`,
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

function describe({ layers, override }: StaticSplit): string {
  return override ? `feed-forward networks of ${override.split("|").length} layers on the processor` : `-ngl ${layers}`;
}

/** Whole layers, as many as fit and a few fewer, and all layers with the fewest networks left to the processor. */
async function bestSplit(
  { layers }: Scenario,
  setting: Setting,
  stops: BenchmarkContext["stops"],
  log: BenchmarkContext["log"],
  name: string,
): Promise<StaticSplit> {
  const networks = (count: number): StaticSplit => ({
    layers: layers + 1,
    override: `^blk\\.(${Array.from({ length: count }, (_, layer) => layer).join("|")})\\.ffn_`,
  });
  const tried: { split: StaticSplit; seconds: number }[] = [];
  /** Tries splits in the order given, from too much to less, until `wanted` of them have fitted. */
  const sweep = async (splits: readonly StaticSplit[], wanted: number): Promise<void> => {
    let fitted = 0;
    for (const split of splits) {
      if (fitted === wanted) return;
      const report = await timePasses(setting, split, [1], 5, stops);
      if (!report) continue;
      fitted += 1;
      const [pass] = report.passes;
      if (pass) tried.push({ split, seconds: median(pass.seconds) });
    }
  };
  const counts = Array.from({ length: layers + 1 }, (_, index) => index);
  await sweep(
    counts.map((less) => ({ layers: layers + 1 - less })),
    3,
  );
  await sweep(counts.slice(1).map(networks), 3);
  tried.sort((a, b) => a.seconds - b.seconds);
  for (const { split, seconds } of tried) log(`${name}: ${describe(split)}: ${(seconds * 1000).toFixed(1)} ms a token`);
  const [best] = tried;
  if (!best) throw new Error(`${name}: expected a split that fits the card.`);
  return best.split;
}
