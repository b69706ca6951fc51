/**
 * Ghost text while somebody types: a recorded session replayed in real time, through NMOS's editor loop and engine, and
 * through the request policy of llama.vscode with llama-server, one after the other.
 */
import { existsSync, readFileSync } from "node:fs";
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import { ensureLlamaTool } from "../../scripts/setup/llama_tools";
import { EngineError } from "../../src/shared/errors";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { processTicks } from "../harness/interference";
import { physicalCores } from "../harness/machine";
import { plainRow, singleRow, type Row } from "../harness/report";
import { quantile } from "../harness/statistics";
import { LlamaServer } from "../peers/llama_server";
import { LlamaVscode } from "../peers/llama_vscode";
import { startEngine } from "../stack/engine_under_test";
import { NmosSuggester } from "./nmos_suggester";
import { replay, type PauseRecord } from "./replay";
import { applyEdit, readTrace, timedEdits, type TraceEdit } from "./trace";

const model = "qwen2.5-coder-0.5b";
const contextLength = 8192;
const longestPause = 4000;

/** Edits that are skipped: the file is short and empty at first. */
const skipped = 6000;

const traceVariable = "NMOS_BENCH_TRACE";

export const replayBenchmark: Benchmark = {
  name: "replay",
  summary: `ghost text during a recorded editing session (the file that ${traceVariable} names), against llama.vscode's policy`,
  run: runReplay,
};

interface Session {
  start: string;
  edits: TraceEdit[];
  minutes: number;
}

interface Outcome {
  pauses: PauseRecord[];
  processorSeconds: number;
  computedTokens: number;
  requests: number;
}

async function runReplay({ root, quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  const session = sessionOf(tracePath(), quick ? 60_000 : 240_000);
  const conditions = { modelPath: await ensureModel(model), threads: physicalCores(), contextLength };
  const program = await ensureLlamaTool("llama-server");
  const file = { path: "src/component.svelte", languageId: "svelte" };

  log(`llama-server, ${String(session.edits.length)} edits in ${session.minutes.toFixed(1)} minutes`);
  const server = await LlamaServer.start(program, conditions, stops);
  const peer: { suggester?: LlamaVscode } = {};
  const peerBefore = secondsOf(server.processId);
  const peerPauses = await replay(
    session.start,
    session.edits,
    (show) => (peer.suggester = new LlamaVscode(server, show)),
  );
  const theirs: Outcome = {
    pauses: peerPauses,
    processorSeconds: secondsOf(server.processId) - peerBefore,
    computedTokens: peer.suggester?.computedTokens ?? 0,
    requests: peer.suggester?.requests ?? 0,
  };
  await server.close();

  log("NMOS");
  const engine = await startEngine(root, conditions, stops);
  const [host = 0] = engine.processIds();
  const nmos: { suggester?: NmosSuggester } = {};
  const before = secondsOf(host);
  const pauses = await replay(
    session.start,
    session.edits,
    (show) => (nmos.suggester = new NmosSuggester(engine, conditions.modelPath, file, show)),
  );
  const cost = nmos.suggester?.cost ?? { computedTokens: 0, requests: 0, abortMs: [] };
  const ours: Outcome = { pauses, processorSeconds: secondsOf(host) - before, ...cost };
  await engine.close();

  return {
    rows: [...rowsOf(ours, theirs, session.minutes), ...abortRows(cost.abortMs)],
    versions: { "llama.cpp": pins.llamaCpp.version },
    disturbedSamples: 0,
  };
}

function tracePath(): string {
  const path = process.env[traceVariable];
  if (path === undefined || !existsSync(path)) {
    throw new EngineError(
      "INVALID_ARGUMENT",
      `Expected ${traceVariable} to name a recorded session in the format of josephg/editing-traces, got ${String(path)}.`,
    );
  }
  return path;
}

/** A part of the trace: from an edit in the middle on, so many milliseconds. */
function sessionOf(path: string, milliseconds: number): Session {
  const trace = readTrace(path);
  const all = timedEdits(trace, longestPause);
  const start = all.slice(0, skipped).reduce(applyEdit, trace.startContent);
  const rest = all.slice(skipped);
  const begin = rest[0]?.at ?? 0;
  const edits = rest.filter(({ at }) => at - begin <= milliseconds);
  return { start, edits, minutes: ((edits.at(-1)?.at ?? 0) - begin) / 60_000 };
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
  for (const least of [300, 1000]) {
    const some = ({ pauses }: Outcome) => pauses.filter(({ length }) => length >= least);
    rows.push(plainRow({ id: `pauses of ${String(least)} ms and more`, unit: "", value: some(ours).length }));
    compare(`a suggestion is shown in pauses of ${String(least)} ms and more`, "%", "higher", null, (outcome) =>
      percentage(some(outcome), ({ shownAfter }) => shownAfter !== null),
    );
    for (const q of [0.5, 0.95]) {
      compare(
        `last key to suggestion, p${String(100 * q)}, in pauses of ${String(least)} ms and more with one`,
        "ms",
        "lower",
        q === 0.95 && least === 1000 ? 5 : null,
        (outcome) => quantile(shownTimes(some(outcome)), q),
      );
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

function abortRows(abortMs: readonly number[]): Row[] {
  if (abortMs.length === 0) return [];
  return [0.5, 0.99].map((q) =>
    plainRow({
      id: `request called off to its end at the client, p${String(100 * q)}`,
      unit: "ms",
      value: quantile(abortMs, q),
    }),
  );
}

function shownTimes(pauses: readonly PauseRecord[]): number[] {
  const times = pauses.flatMap(({ shownAfter }) => (shownAfter === null ? [] : [shownAfter]));
  return times.length > 0 ? times : [longestPause];
}

function percentage<T>(all: readonly T[], isOne: (one: T) => boolean): number {
  return all.length > 0 ? (100 * all.filter(isOne).length) / all.length : 0;
}

function secondsOf(processId: number): number {
  return process.platform === "linux" ? processTicks(readFileSync(`/proc/${String(processId)}/stat`, "utf8")) / 100 : 0;
}
