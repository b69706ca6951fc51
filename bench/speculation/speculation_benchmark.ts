/**
 * What guessing ahead gains: answers whose tokens are guessed from the text at hand and verified several in a pass,
 * against the same answers with one token a pass, in alternation on one engine.
 */
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { physicalCores } from "../harness/machine";
import { comparisonRow, plainRow, type Row } from "../harness/report";
import { startEngine, type EngineUnderTest } from "../stack/engine_under_test";
import { ask } from "../stack/nmos";
import { workloads, type Workload } from "./workloads";

const models = [
  { id: "qwen2.5-coder-0.5b", label: "0.5B" },
  { id: "qwen2.5-coder-1.5b", label: "1.5B" },
] as const;

const contextLength = 2048;
const answerTokens = 192;

export const speculationBenchmark: Benchmark = {
  name: "speculation",
  summary: "answers with tokens guessed from the text at hand, against one token a pass",
  run: runSpeculation,
};

async function runSpeculation({ root, quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  const rows: Row[] = [];
  for (const { id, label } of quick ? models.slice(0, 1) : models) {
    const modelPath = await ensureModel(id);
    const engine = await startEngine(root, { modelPath, threads: physicalCores(), contextLength }, stops);
    try {
      for (const workload of workloads) {
        log(`${label}: ${workload.name}`);
        rows.push(...(await measure(engine, modelPath, label, workload, quick ? 1 : 2)));
      }
    } finally {
      await engine.close();
    }
  }
  return { rows, versions: { "llama.cpp": pins.llamaCpp.version }, disturbedSamples: 0 };
}

async function measure(
  engine: EngineUnderTest,
  model: string,
  label: string,
  { name, target, conversations }: Workload,
  rounds: number,
): Promise<Row[]> {
  const speeds = { auto: [] as number[], off: [] as number[] };
  let same = 0;
  let answers = 0;
  let drafted = 0;
  let accepted = 0;
  // The first round only teaches what passes cost.
  for (let round = 0; round <= rounds; round++) {
    for (const messages of conversations) {
      const texts: string[] = [];
      for (const speculation of round % 2 === 0 ? (["auto", "off"] as const) : (["off", "auto"] as const)) {
        await engine.client.updateSettings({ speculation });
        const { result } = await ask(engine, model, messages, answerTokens);
        texts.push(result.text);
        if (round === 0) continue;
        const { completionTokens, decodeMs, draftedTokens, acceptedTokens } = result.usage;
        speeds[speculation].push((completionTokens / decodeMs) * 1000);
        drafted += draftedTokens;
        accepted += acceptedTokens;
      }
      if (round === 0) continue;
      answers += 1;
      if (texts[0] === texts[1]) same += 1;
    }
  }
  const id = `${label} ${name}`;
  return [
    comparisonRow({
      id,
      unit: "tokens/s",
      peer: "one token a pass",
      ours: speeds.auto,
      theirs: speeds.off,
      better: "higher",
      target,
    }),
    plainRow({
      id: `${id}: guessed tokens that were right`,
      unit: "%",
      value: drafted > 0 ? (100 * accepted) / drafted : 0,
    }),
    plainRow({ id: `${id}: answers that are the same`, unit: "%", value: (100 * same) / answers }),
  ];
}
