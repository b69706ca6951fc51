/**
 * The price of answers that are the same to the last bit however many tokens are guessed (`nmos.engine.speculation`: `exact`):
 * prompts and answers of a real model on the processor, against the setting `auto`, in alternation on one engine.
 */
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { physicalCores } from "../harness/machine";
import { comparisonRow, type Row } from "../harness/report";
import { startEngine, type EngineUnderTest } from "../stack/engine_under_test";
import { ask } from "../stack/nmos";
import { practice, workloads } from "./workloads";

const models = { "0.5B": "qwen2.5-coder-0.5b", "1.5B": "qwen2.5-coder-1.5b" };
const modes = ["auto", "exact"] as const;
type Speeds = Record<(typeof modes)[number], number[]>;

const contextLength = 2048;
const answerTokens = 96;
/** Share of `auto`'s speed that would make `exact` the default. */
const freeEnough = 0.95;

export const exactBenchmark: Benchmark = {
  name: "exact",
  summary: "the price of answers that guesses change in no bit",
  run: runExact,
};

async function runExact({ root, quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  const rows: Row[] = [];
  for (const [label, id] of Object.entries(models).slice(0, quick ? 1 : 2)) {
    const modelPath = await ensureModel(id);
    const engine = await startEngine(root, { modelPath, threads: physicalCores(), contextLength }, stops);
    rows.push(...(await measureModel(engine, modelPath, label, quick ? 1 : 2, log)));
    await engine.close();
  }
  return { rows, versions: { "llama.cpp": pins.llamaCpp.version } };
}

async function measureModel(
  engine: EngineUnderTest,
  model: string,
  label: string,
  rounds: number,
  log: BenchmarkContext["log"],
): Promise<Row[]> {
  const prefill: Speeds = { auto: [], exact: [] };
  const decode = new Map(workloads.map(({ name }): [string, Speeds] => [name, { auto: [], exact: [] }]));
  for (let round = 0; round < rounds; round++) {
    for (const mode of round % 2 === 0 ? modes : modes.toReversed()) {
      log(`${label}: ${mode}`);
      await engine.client.updateSettings({ speculation: mode });
      // Loaded anew, so that every prompt is computed, and no answer is written from the memory of an earlier one to the same.
      await engine.client.request("engine/unload", {});
      for (const messages of practice) await ask(engine, model, messages, answerTokens);
      for (const { name, conversations } of workloads) {
        for (const messages of conversations) {
          const { usage } = (await ask(engine, model, messages, answerTokens)).result;
          const computed = usage.promptTokens - usage.reusedTokens;
          prefill[mode].push((computed / usage.prefillMs) * 1000);
          decode.get(name)?.[mode].push((usage.completionTokens / usage.decodeMs) * 1000);
        }
      }
    }
  }
  const row = (id: string, { auto, exact }: Speeds) =>
    comparisonRow({
      id: `${label} ${id}`,
      unit: "tokens/s",
      peer: "the setting auto",
      ours: exact,
      theirs: auto,
      better: "higher",
      target: freeEnough,
    });
  return [row("prompts", prefill), ...[...decode].map(([name, speeds]) => row(name, speeds))];
}
