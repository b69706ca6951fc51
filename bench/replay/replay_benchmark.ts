/**
 * Ghost text while somebody types: a recorded session replayed in real time, through NMOS's editor loop and engine, and
 * through the request policy of llama.vscode with llama-server, one after the other.
 */
import { readFileSync } from "node:fs";
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import { ensureLlamaTool } from "../../scripts/setup/llama_tools";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { processTicks } from "../harness/interference";
import { physicalCores } from "../harness/machine";
import { limitRow, plainRow, singleRow, type Row } from "../harness/report";
import { quantile } from "../harness/statistics";
import { LlamaServer } from "../peers/llama_server";
import { LlamaVscode } from "../peers/llama_vscode";
import { startEngine } from "../stack/engine_under_test";
import { NmosSuggester } from "./nmos_suggester";
import { replay, silences, type PauseRecord, type Suggester } from "./replay";
import { busiestPart, suggestionsShown, type Timeline } from "./timeline";
import { timelinePicture } from "./timeline_picture";
import {
  applyEdit,
  longestPause,
  readTrace,
  timedEdits,
  tracedFile,
  tracePath,
  traceVariable,
  type TraceEdit,
} from "./trace";

const model = "qwen2.5-coder-0.5b";
const contextLength = 8192;

/** Milliseconds from which on somebody stops to think. */
const longPause = 1000;

/** Milliseconds that a suggestion may take at the median, and a request that was called off may go on. */
const longestWait = 150;
const longestAbort = 30;

/** Where the parts that are replayed begin, in edits: all over a day of work, but for the beginning with an empty file. */
const begins = [2000, 6000, 10_000, 14_000];

/** Milliseconds that the picture shows, and the rows it shows them in. */
const pictured = { milliseconds: 24_000, rows: 3 };

export const replayBenchmark: Benchmark = {
  name: "replay",
  summary: `ghost text during a recorded editing session (the file that ${traceVariable} names), against llama.vscode's policy`,
  run: runReplay,
};

interface Part {
  start: string;
  edits: TraceEdit[];
}

interface Outcome {
  pauses: PauseRecord[];
  processorSeconds: number;
  computedTokens: number;
  requests: number;
}

async function runReplay({ root, quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  const parts = partsOf(tracePath(), quick ? 25_000 : 60_000);
  const minutes = parts.reduce((sum, { edits }) => sum + lengthOf(edits), 0) / 60_000;
  const conditions = { modelPath: await ensureModel(model), threads: physicalCores(), contextLength };
  const program = await ensureLlamaTool("llama-server");

  const server = await LlamaServer.start(program, conditions, stops);
  const engine = await startEngine(root, conditions, stops);
  const ours = nothing();
  const theirs = nothing();
  const abortMs: number[] = [];
  const timelines: Timeline[] = [];
  const playOurs = (part: Part): Promise<void> =>
    measure(ours, engine.processIds()[0] ?? 0, async () => {
      const made = await play(part, (show) => new NmosSuggester(engine, conditions.modelPath, tracedFile, show));
      add(ours, made.pauses, made.suggester.cost);
      abortMs.push(...made.suggester.cost.abortMs);
      timelines.push(made.suggester.recorder.timeline);
    });
  const playTheirs = (part: Part): Promise<void> =>
    measure(theirs, server.processId, async () => {
      const made = await play(part, (show) => new LlamaVscode(server, show));
      add(theirs, made.pauses, made.suggester);
    });
  for (const [index, part] of parts.entries()) {
    log(`part ${String(index + 1)} of ${String(parts.length)}, ${minutes.toFixed(1)} minutes for each system together`);
    // In turns, so that neither always comes first.
    for (const one of index % 2 === 0 ? [playTheirs, playOurs] : [playOurs, playTheirs]) await one(part);
  }
  await server.close();
  await engine.close();

  return {
    rows: [...rowsOf(ours, theirs, minutes), ...silenceRows(ours.pauses), ...abortRows(abortMs)],
    versions: { "llama.cpp": pins.llamaCpp.version },
    picture: pictureOf(timelines),
  };
}

/** Where most suggestions came to the screen. */
function pictureOf(timelines: readonly Timeline[]): string {
  const { milliseconds, rows } = pictured;
  const parts = timelines.map((timeline) => ({ timeline, from: busiestPart(timeline, milliseconds) }));
  const shown = ({ timeline, from }: (typeof parts)[number]) => suggestionsShown(timeline, from, milliseconds);
  const [best] = parts.toSorted((a, b) => shown(b) - shown(a));
  if (!best) throw new Error("expected a part that was replayed");
  const title = `${milliseconds / 1000} seconds of a replayed session`;
  return timelinePicture(best.timeline, { title, from: best.from, to: best.from + milliseconds, rows });
}

/** So many milliseconds from each beginning on. */
function partsOf(path: string, milliseconds: number): Part[] {
  const trace = readTrace(path);
  const all = timedEdits(trace, longestPause);
  return begins.map((skipped) => {
    const edits = all.slice(skipped);
    const begin = edits[0]?.at ?? 0;
    return {
      start: all.slice(0, skipped).reduce(applyEdit, trace.startContent),
      edits: edits.filter(({ at }) => at - begin <= milliseconds),
    };
  });
}

function lengthOf(edits: readonly TraceEdit[]): number {
  return (edits.at(-1)?.at ?? 0) - (edits[0]?.at ?? 0);
}

function nothing(): Outcome {
  return { pauses: [], processorSeconds: 0, computedTokens: 0, requests: 0 };
}

function add(
  outcome: Outcome,
  pauses: readonly PauseRecord[],
  cost: { computedTokens: number; requests: number },
): void {
  outcome.pauses.push(...pauses);
  outcome.computedTokens += cost.computedTokens;
  outcome.requests += cost.requests;
}

async function measure(outcome: Outcome, processId: number, work: () => Promise<void>): Promise<void> {
  const before = secondsOf(processId);
  await work();
  outcome.processorSeconds += secondsOf(processId) - before;
}

async function play<T extends Suggester>(
  { start, edits }: Part,
  make: (show: (text: string) => void) => T,
): Promise<{ pauses: PauseRecord[]; suggester: T }> {
  const made: T[] = [];
  const pauses = await replay(start, edits, (show) => {
    const suggester = make(show);
    made.push(suggester);
    return suggester;
  });
  const [suggester] = made;
  if (!suggester) throw new Error("expected the replay to make a suggester");
  return { pauses, suggester };
}

function rowsOf(ours: Outcome, theirs: Outcome, minutes: number): Row[] {
  const peer = "llama.vscode's policy, llama-server";
  const rows: Row[] = [];
  const compare = (
    id: string,
    unit: string,
    better: "higher" | "lower",
    target: number | null,
    figure: (outcome: Outcome) => number,
  ): void => {
    rows.push(singleRow({ id, unit, peer, ours: figure(ours), theirs: figure(theirs), better, target }));
  };
  for (const least of [300, longPause]) {
    const some = ({ pauses }: Outcome) => pauses.filter(({ length }) => length >= least);
    rows.push(plainRow({ id: `pauses of ${String(least)} ms and more`, unit: "", value: some(ours).length }));
    compare(`a suggestion is shown in pauses of ${String(least)} ms and more`, "%", "higher", null, (outcome) =>
      percentage(some(outcome), ({ shownAfter }) => shownAfter !== null),
    );
    for (const q of [0.5, 0.95]) {
      const percentile = `p${String(100 * q)}, in pauses of ${String(least)} ms and more`;
      compare(`last key to suggestion, or to the end of the pause, ${percentile}`, "ms", "lower", null, (outcome) =>
        quantile(waits(some(outcome)), q),
      );
      if ([ours, theirs].some((outcome) => times(some(outcome)).length === 0)) continue;
      const id = `last key to suggestion, where one is shown, ${percentile}`;
      compare(id, "ms", "lower", q === 0.95 ? 5 : null, (outcome) => quantile(times(some(outcome)), q));
      if (q === 0.5) rows.push(limitRow({ id, unit: "ms", value: quantile(times(some(ours)), q), limit: longestWait }));
    }
  }
  compare("suggestions whose first line is typed next", "%", "higher", null, ({ pauses }) =>
    percentage(
      pauses.filter(({ shownAfter }) => shownAfter !== null),
      ({ isRight }) => isRight,
    ),
  );
  compare(
    "characters saved per minute by accepting what is right",
    "",
    "higher",
    2,
    ({ pauses }) => pauses.reduce((sum, { savedCharacters }) => sum + savedCharacters, 0) / minutes,
  );
  compare(
    "prompt tokens computed per request",
    "",
    "lower",
    null,
    ({ computedTokens, requests }) => computedTokens / Math.max(1, requests),
  );
  compare("processor time per minute", "s", "lower", 1, ({ processorSeconds }) => processorSeconds / minutes);
  return rows;
}

/** Why NMOS suggested nothing in long pauses. */
function silenceRows(pauses: readonly PauseRecord[]): Row[] {
  const long = pauses.filter(({ length, shownAfter }) => length >= longPause && shownAfter === null);
  return Object.entries(silences).map(([silence, reason]) =>
    plainRow({
      id: `no suggestion in pauses of ${String(longPause)} ms and more: ${reason}`,
      unit: "",
      value: long.filter((pause) => pause.silence === silence).length,
    }),
  );
}

function abortRows(abortMs: readonly number[]): Row[] {
  if (abortMs.length === 0) return [];
  const id = (q: number) => `request called off to its end at the client, p${String(100 * q)}`;
  return [
    plainRow({ id: id(0.5), unit: "ms", value: quantile(abortMs, 0.5) }),
    limitRow({ id: id(0.99), unit: "ms", value: quantile(abortMs, 0.99), limit: longestAbort }),
  ];
}

/** Of the pauses with a suggestion. */
function times(pauses: readonly PauseRecord[]): number[] {
  return pauses.flatMap(({ shownAfter }) => (shownAfter === null ? [] : [shownAfter]));
}

/** Where nothing was shown, it would have taken longer than the pause. */
function waits(pauses: readonly PauseRecord[]): number[] {
  return pauses.map(({ shownAfter, length }) => shownAfter ?? length);
}

function percentage<T>(all: readonly T[], isOne: (one: T) => boolean): number {
  return all.length > 0 ? (100 * all.filter(isOne).length) / all.length : 0;
}

function secondsOf(processId: number): number {
  return process.platform === "linux" ? processTicks(readFileSync(`/proc/${String(processId)}/stat`, "utf8")) / 100 : 0;
}
