/**
 * What guessing ahead gains on this machine: answers of real models whose tokens are guessed and verified several in a pass,
 * against the same answers with one token a pass in alternation on one engine, against llama.cpp's kinds of speculation and
 * against node-llama-cpp's. The smaller model is in memory beside the larger one, as ghost text has it, and may guess for it.
 */
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import type { ChatMessage } from "../../src/shared/chat";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { physicalCores } from "../harness/machine";
import { comparisonRow, plainRow, type Row } from "../harness/report";
import { median } from "../harness/statistics";
import { startEngine, type EngineUnderTest } from "../stack/engine_under_test";
import { ask, type Answer } from "../stack/nmos";
import { measureFillingIn } from "./filling_in";
import { forgetAnswers } from "./forget_answers";
import { duel, surveyPeers, type PeerSpeeds } from "./peers";
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
  for (const workload of workloads) {
    log(`${label}: ${workload.name}`);
    rows.push(...(await measure(engine, modelPath, label, workload, quick ? 1 : 2)));
  }
  if (!quick) {
    rows.push(...(await measureFillingIn(engine, modelPath, label)));
    const peers = await surveyPeers({ conditions, draftPath, answerTokens, stops, log });
    const ours = async (messages: ChatMessage[]) =>
      tokensPerSecond(await ask(engine, modelPath, messages, answerTokens));
    // The peers have just started, too.
    const forget = async () => {
      await forgetAnswers(engine, modelPath);
      await engine.client.updateSettings({ speculation: "auto" });
    };
    for (const workload of workloads) {
      log(`${label}: ${workload.name} against the fastest peer`);
      await forget();
      rows.push(...(await compareWithPeers(workload, label, peers, ours)));
    }
  }
  await engine.close();
  return rows;
}

/** With the one that is fastest for the workload, anew and in alternation; the others as they were surveyed. */
async function compareWithPeers(
  workload: Workload,
  label: string,
  peers: readonly PeerSpeeds[],
  ours: (messages: ChatMessage[]) => Promise<number>,
): Promise<Row[]> {
  const surveyed = peers.flatMap(({ peer, speeds }) => {
    const answers = speeds.get(workload.name);
    return answers ? [{ peer, speed: median(answers) }] : [];
  });
  surveyed.sort((a, b) => b.speed - a.speed);
  const [fastest] = surveyed;
  if (!fastest) return [];
  const id = `${label} ${workload.name}`;
  const duelled = await duel(fastest.peer, workload, answerTokens, ours);
  return [
    comparisonRow({
      id,
      unit: "tokens/s",
      peer: `the fastest peer: ${fastest.peer.kind}`,
      ...duelled,
      better: "higher",
      target: 1,
    }),
    ...surveyed.map(({ peer, speed }) => plainRow({ id: `${id}: ${peer.kind}`, unit: "tokens/s", value: speed })),
  ];
}

function tokensPerSecond({ result: { usage } }: Answer): number {
  return (usage.completionTokens / usage.decodeMs) * 1000;
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
  let byModel = 0;
  // The first round only teaches what passes cost.
  for (let round = 0; round <= rounds; round++) {
    for (const messages of conversations) {
      const texts: string[] = [];
      await forgetAnswers(engine, model);
      for (const speculation of round % 2 === 0 ? (["auto", "off"] as const) : (["off", "auto"] as const)) {
        await engine.client.updateSettings({ speculation });
        const answer = await ask(engine, model, messages, answerTokens);
        texts.push(answer.result.text);
        if (round === 0) continue;
        const { draftedTokens, acceptedTokens, draftModelTokens } = answer.result.usage;
        speeds[speculation].push(tokensPerSecond(answer));
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
  return [
    ...speculationRows({ id, speeds, target, drafted, accepted, same, answers }),
    plainRow({ id: `${id}: of the guessed tokens by the draft model`, unit: "tokens", value: byModel }),
  ];
}
