/**
 * What guessing ahead gains where a model is larger than the card: the answers of a real pair of models are recorded, and
 * decoded again by larger, synthetic ones on a simulated card, which write the recorded answers and guess as often right as
 * the real pair did. The peer is llama.cpp's best static split, whose passes are measured and whose kinds of drafting, with
 * the best of several settings for each workload, are computed from the recording.
 */
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import { ensureEngineLibraries } from "../../scripts/setup/engine_libraries";
import { buildBenchPrograms } from "../../scripts/setup/native_build";
import { ensureSyntheticModel } from "../../scripts/setup/synthetic_model";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { physicalCores } from "../harness/machine";
import { plainRow, singleRow, type Row } from "../harness/report";
import { median } from "../harness/statistics";
import { timePasses, type Setting } from "../memory/pass_times";
import { bestSplits, describeSplit } from "../memory/static_splits";
import { costOfWidth, fromModel, fromText, secondsOf, withoutDrafts, type Costs } from "./fixed_drafting";
import { parseRecording, recordAnswers, replayAnswers, type Recorded, type Replayed } from "./replayed_answers";
import { promptOf, workloads } from "./workloads";

const card = "gtx1650-4gb";
const shape = "qwen2.5-coder-7b";
const layers = 28;
const contextLength = 2048;
const answerTokens = 192;
const rounds = 1;

/** Against one token a pass in the same placement. */
const targets: Record<string, number> = {
  "rewriting code": 3,
  "chat about code in the prompt": 2,
  "novel prose": 0.98,
};

const peerWidths = [1, 2, 3, 4, 6, 8, 12, 16];

export const cardSpeculationBenchmark: Benchmark = {
  name: "speculation-card",
  summary: "answers of a model larger than the card, guessed by a small one, on a simulated card",
  run,
};

async function run({ quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  const { speculativeDecoding, passTimes } = await buildBenchPrograms();
  const { libraries } = await ensureEngineLibraries();
  const draft = await ensureModel("qwen2.5-coder-0.5b");
  const main = await ensureSyntheticModel(shape);
  const threads = physicalCores();
  const models = { program: speculativeDecoding, libraries, draft, threads, contextLength };
  log("recording the answers of the 1.5B, and what the 0.5B would have guessed");
  const prompts = workloads.flatMap(({ conversations }) => conversations.map(promptOf));
  const recorder = { ...models, main: await ensureModel("qwen2.5-coder-1.5b") };
  const recording = await recordAnswers(recorder, prompts, quick ? 64 : answerTokens, stops);
  const recorded = parseRecording(recording);

  const kinds = ["draft", "draft-chain", "draft-unwrapped", "text", "plain"] as const;
  const replayed = new Map<string, Replayed[][]>(kinds.map((kind) => [kind, []]));
  let draftPassMs = 0;
  for (let round = 0; round < (quick ? 1 : rounds); round++) {
    for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
      log(`${kind}, round ${String(round + 1)}`);
      const report = await replayAnswers({ ...models, main }, card, kind, recording, stops);
      replayed.get(kind)?.push(report.answers);
      if (kind === "draft") draftPassMs = report.draftPassMs;
    }
  }
  const setting: Setting = { program: passTimes, libraries, model: main, card, threads, contextLength };
  const peer = quick ? null : await measurePeer(setting, stops, log);
  const rows: Row[] = [];
  let first = 0;
  for (const { name, conversations } of workloads) {
    const places = conversations.map((_, index) => first + index);
    first += conversations.length;
    /** Tokens a second over all answers of the workload, the median of the rounds. */
    const speed = (kind: string) =>
      median((replayed.get(kind) ?? []).map((answers) => speedOf(places.flatMap((place) => answers[place] ?? []))));
    const answers = recorded.filter((_, index) => places.includes(index));
    rows.push(
      ...rowsOf(`7B ${card} ${name}`, targets[name] ?? 1, {
        draft: speed("draft"),
        chain: speed("draft-chain"),
        unwrapped: speed("draft-unwrapped"),
        text: speed("text"),
        plain: speed("plain"),
        answers: places.flatMap((place) => replayed.get("draft")?.[0]?.[place] ?? []),
        unwrappedAnswers: places.flatMap((place) => replayed.get("draft-unwrapped")?.[0]?.[place] ?? []),
      }),
    );
    if (peer) rows.push(...peerRows(`7B ${card} ${name}`, speed("draft"), answers, peer, draftPassMs / 1000));
  }
  return { rows, versions: { "llama.cpp": pins.llamaCpp.version } };
}

function speedOf(answers: Replayed[]): number {
  const sum = (figure: (one: Replayed) => number) => answers.reduce((total, one) => total + figure(one), 0);
  return (sum(({ tokens }) => tokens) / sum(({ decodeMs }) => decodeMs)) * 1000;
}

interface Speeds {
  draft: number;
  /** Where no second choices are verified. */
  chain: number;
  /** Where uploads stop at the end of a pass. */
  unwrapped: number;
  text: number;
  plain: number;
  answers: Replayed[];
  unwrappedAnswers: Replayed[];
}

function rowsOf(id: string, target: number, speeds: Speeds): Row[] {
  const { draft, chain, unwrapped, text, plain, answers, unwrappedAnswers } = speeds;
  const against = (peer: string, theirs: number, least: number | null) =>
    singleRow({ id, unit: "tokens/s", peer, ours: draft, theirs, better: "higher", target: least });
  const share = (part: (one: Replayed) => number, whole: (one: Replayed) => number, of = answers) =>
    (100 * of.reduce((sum, one) => sum + part(one), 0)) /
    Math.max(
      1,
      of.reduce((sum, one) => sum + whole(one), 0),
    );
  const stalled = (of: Replayed[]) =>
    share(
      ({ stalledMs }) => stalledMs,
      ({ decodeMs }) => decodeMs,
      of,
    );
  return [
    against("one token a pass", plain, target),
    against("guesses from the text only", text, 0.98),
    against("guesses without second choices", chain, null),
    against("no uploads between two passes", unwrapped, null),
    singleRow({
      id: `${id}: of the time the card waits for uploads`,
      unit: "%",
      peer: "no uploads between two passes",
      ours: stalled(answers),
      theirs: stalled(unwrappedAnswers),
      better: "lower",
      target: null,
    }),
    plainRow({
      id: `${id}: guessed tokens that were right`,
      unit: "%",
      value: share(
        ({ acceptedTokens }) => acceptedTokens,
        ({ draftedTokens }) => draftedTokens,
      ),
    }),
    plainRow({
      id: `${id}: of the time in passes over the draft model`,
      unit: "%",
      value: share(
        ({ draftModelMs }) => draftModelMs,
        ({ decodeMs }) => decodeMs,
      ),
    }),
  ];
}

interface Peer {
  split: string;
  pass: Costs["pass"];
}

/** The splits that are best for narrow and for wide passes. */
async function measurePeer(
  setting: Setting,
  stops: BenchmarkContext["stops"],
  log: BenchmarkContext["log"],
): Promise<Peer[]> {
  log("looking for llama.cpp's best split");
  const { narrow, wide } = await bestSplits(layers, setting, stops, log, card);
  const peers: Peer[] = [];
  for (const split of [narrow, wide]) {
    const report = await timePasses(setting, split, peerWidths, 7, stops);
    if (!report) throw new Error("The split that fitted before does not fit now.");
    const measured = new Map(report.passes.map(({ width, seconds }) => [width, median(seconds)]));
    peers.push({ split: describeSplit(split), pass: costOfWidth(measured) });
  }
  return peers;
}

/** The fastest of all kinds and settings on all splits; the draft model costs what it costs us, and takes no room there. */
function peerRows(id: string, ours: number, answers: Recorded[], peers: Peer[], draftPass: number): Row[] {
  const drafters = new Map([
    ["no speculation", withoutDrafts],
    ...[1, 2, 3, 5, 8, 15].flatMap((most) =>
      [0, 0.5, 0.75, 0.9].map(
        (least) => [`draft-simple, ${String(most)} tokens from ${String(least)}`, fromModel(most, least)] as const,
      ),
    ),
    ...[3, 5, 8, 12].flatMap((match) =>
      [4, 8, 15].map(
        (most) => [`ngram-simple, ${String(most)} tokens behind ${String(match)}`, fromText(match, most)] as const,
      ),
    ),
  ]);
  const tokens = answers.reduce((sum, { answer }) => sum + answer.length, 0);
  const speeds = peers.flatMap(({ split, pass }) =>
    [...drafters].map(([kind, drafter]) => {
      const seconds = answers.reduce((sum, one) => sum + secondsOf(one, drafter, { pass, draftPass }), 0);
      return { name: `llama.cpp, ${split}, ${kind}`, speed: tokens / seconds };
    }),
  );
  const [best] = speeds.toSorted((a, b) => b.speed - a.speed);
  if (!best) return [];
  return [
    singleRow({
      id,
      unit: "tokens/s",
      peer: best.name,
      ours,
      theirs: best.speed,
      better: "higher",
      target: 1.5,
    }),
  ];
}
