/**
 * What guessing ahead gains on this machine: answers of real models whose tokens are guessed and verified several in a pass,
 * against the same answers with one token a pass in alternation on one engine, against llama.cpp's kinds of speculation and
 * against node-llama-cpp's. The smaller model is in memory beside the larger one, as ghost text has it, and may guess for it.
 */
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { physicalCores } from "../harness/machine";
import { plainRow, singleRow, type Row } from "../harness/report";
import { median } from "../harness/statistics";
import { startEngine, type EngineUnderTest } from "../stack/engine_under_test";
import { ask } from "../stack/nmos";
import { measureFillingIn } from "./filling_in";
import { measurePeers } from "./peers";
import { speculationRows } from "./speculation_rows";
import { workloads, type Workload } from "./workloads";

interface Pair {
  id: string;
  label: string;
  /** The model of ghost text; without one there is none to guess. */
  draft?: string;
}

const pairs: readonly Pair[] = [
  { id: "qwen2.5-coder-0.5b", label: "0.5B" },
  { id: "qwen2.5-coder-1.5b", label: "1.5B", draft: "qwen2.5-coder-0.5b" },
];

const contextLength = 2048;
const answerTokens = 192;

export const speculationBenchmark: Benchmark = {
  name: "speculation",
  summary:
    "answers with guessed tokens (also of the cases that NMOS_BENCH_CASES names), against one token a pass and llama.cpp's kinds of speculation",
  run: runSpeculation,
};

async function runSpeculation(context: BenchmarkContext): Promise<BenchmarkResult> {
  const rows: Row[] = [];
  for (const pair of context.quick ? pairs.slice(0, 1) : pairs) rows.push(...(await measurePair(context, pair)));
  return { rows, versions: { "llama.cpp": pins.llamaCpp.version } };
}

async function measurePair({ root, quick, stops, log }: BenchmarkContext, pair: Pair): Promise<Row[]> {
  const { id, label, draft } = pair;
  const modelPath = await ensureModel(id);
  const draftPath = draft && (await ensureModel(draft));
  const conditions = { modelPath, threads: physicalCores(), contextLength };
  const engine = await startEngine(root, conditions, stops);
  if (draftPath) await engine.client.request("models/load", { model: draftPath, role: "fast" });
  const rows: Row[] = [];
  const ours = new Map<string, number>();
  for (const workload of workloads) {
    log(`${label}: ${workload.name}`);
    const measured = await measure(engine, modelPath, label, workload, quick ? 1 : 2);
    rows.push(...measured.rows);
    ours.set(workload.name, measured.tokensPerSecond);
  }
  if (!quick) rows.push(...(await measureFillingIn(engine, modelPath, label)));
  await engine.close();
  if (quick) return rows;
  const theirs = await measurePeers({ conditions, draftPath, answerTokens, stops, log });
  for (const { name } of workloads) {
    const speeds = theirs.map(({ kind, speeds }) => ({ kind, speed: median(speeds.get(name) ?? []) }));
    speeds.sort((a, b) => b.speed - a.speed);
    const [fastest] = speeds;
    if (!fastest) continue;
    rows.push(
      singleRow({
        id: `${label} ${name}`,
        unit: "tokens/s",
        peer: `the fastest peer: ${fastest.kind}`,
        ours: ours.get(name) ?? 0,
        theirs: fastest.speed,
        better: "higher",
        target: 1,
      }),
      ...speeds.map(({ kind, speed }) => plainRow({ id: `${label} ${name}: ${kind}`, unit: "tokens/s", value: speed })),
    );
  }
  return rows;
}

async function measure(
  engine: EngineUnderTest,
  model: string,
  label: string,
  { name, target, conversations }: Workload,
  rounds: number,
): Promise<{ rows: Row[]; tokensPerSecond: number }> {
  const speeds = { auto: [] as number[], off: [] as number[] };
  let same = 0;
  let answers = 0;
  let drafted = 0;
  let accepted = 0;
  let byModel = 0;
  // The first round only teaches what passes cost.
  for (let round = 0; round <= rounds; round++) {
    for (const messages of conversations) {
      const texts: string[] = [];
      for (const speculation of round % 2 === 0 ? (["auto", "off"] as const) : (["off", "auto"] as const)) {
        await engine.client.updateSettings({ speculation });
        const { result } = await ask(engine, model, messages, answerTokens);
        texts.push(result.text);
        if (round === 0) continue;
        const { completionTokens, decodeMs, draftedTokens, acceptedTokens, draftModelTokens } = result.usage;
        speeds[speculation].push((completionTokens / decodeMs) * 1000);
        drafted += draftedTokens;
        accepted += acceptedTokens;
        byModel += draftModelTokens;
      }
      if (round === 0) continue;
      answers += 1;
      if (texts[0] === texts[1]) same += 1;
    }
  }
  const id = `${label} ${name}`;
  const rows = [
    ...speculationRows({ id, speeds, target, drafted, accepted, same, answers }),
    plainRow({ id: `${id}: of the guessed tokens by the draft model`, unit: "tokens", value: byModel }),
  ];
  return { rows, tokensPerSecond: median(speeds.auto) };
}
