/**
 * What token healing adds to a step: finding the tokens that may come, among those of the whole vocabulary, and choosing one of
 * them. Source files are cut at random columns, and what the extension takes off the prompt there is spelled token by token.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import { buildBenchPrograms } from "../../scripts/setup/native_build";
import { healPrefix } from "../../src/engine/completion/token_healing";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { percentileRows, plainRow } from "../harness/report";
import { programOutput } from "../harness/run_program";
import { seededRandom } from "../harness/statistics";

const model = "qwen2.5-coder-0.5b";

/** Microseconds; a pass over the smallest model takes a thousand times as long. */
const longestStep = 50;

export const healingBenchmark: Benchmark = {
  name: "healing",
  summary: "what token healing adds to a step of an answer",
  run: runHealing,
};

interface Steps {
  vocabulary: number;
  /** Microseconds. */
  find: number[];
  choose: number[];
}

async function runHealing({ root, quick, stops }: BenchmarkContext): Promise<BenchmarkResult> {
  const { healingSteps } = await buildBenchPrograms();
  const input = healedTexts(join(root, "src", "engine", "host"), quick ? 100 : 500).join("\n");
  const output = await programOutput(healingSteps, [await ensureModel(model)], stops, { input });
  const { vocabulary, find, choose } = JSON.parse(output) as Steps;
  const rows = [
    plainRow({ id: `steps, of a vocabulary of ${String(vocabulary)} tokens`, unit: "", value: find.length }),
  ];
  const steps = find.map((one, index) => one + (choose[index] ?? NaN));
  for (const [id, values, limit] of [
    ["a step of token healing", steps, longestStep],
    ["finding the tokens that heal", find, null],
    ["choosing among them", choose, null],
  ] as const) {
    rows.push(...percentileRows({ id, unit: "µs", values, limit }));
  }
  return { rows, versions: { "llama.cpp": pins.llamaCpp.version } };
}

/** What is taken off the prompt where lines of the files in a folder are cut. */
function healedTexts(folder: string, count: number): string[] {
  const lines = readdirSync(folder).flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n"));
  const random = seededRandom(3);
  const texts: string[] = [];
  while (texts.length < count) {
    const line = lines[Math.floor(random() * lines.length)] ?? "";
    const { beginWith } = healPrefix(line.slice(0, Math.ceil(random() * line.length)));
    if (beginWith !== "") texts.push(beginWith);
  }
  return texts;
}
