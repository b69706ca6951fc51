/**
 * How good ghost text is, and how long it takes: lines cut at random columns, each completed by NMOS after a pause (the
 * context was computed ahead) and at once, by llama-server with the request of llama.vscode, and with the usual prompt
 * (prefix, suffix, middle) alone.
 */
import { setTimeout } from "node:timers/promises";
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import { ensureLlamaTool } from "../../scripts/setup/llama_tools";
import type { ConfigurableEngineClient } from "../../src/engine/client/create_engine_client";
import type { CompletionPrefillParams } from "../../src/shared/completion";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { physicalCores } from "../harness/machine";
import { plainRow, singleRow, type Row } from "../harness/report";
import { mean, median } from "../harness/statistics";
import { LlamaServer } from "../peers/llama_server";
import { placeOf, withoutIndent } from "../peers/llama_vscode";
import { startEngine, type EngineUnderTest } from "../stack/engine_under_test";
import { matchedShare, readCases, type CompletionCase } from "./cases";

const contextLength = 8192;

/** Milliseconds. */
const longestPause = 120_000;
const pauseSteps = 500;

interface Subject {
  model: string;
  /** How many times as many lines as llama.vscode's request NMOS shall complete exactly. */
  target: number;
}

export const completionBenchmark = benchmarkOf("completion", { model: "qwen2.5-coder-0.5b", target: 1.6 });
export const largerCompletionBenchmark = benchmarkOf("completion-1.5b", { model: "qwen2.5-coder-1.5b", target: 1.2 });

function benchmarkOf(name: string, subject: Subject): Benchmark {
  return {
    name,
    summary: `ghost text of ${subject.model} for cut lines (the file that NMOS_BENCH_CASES names), against llama.vscode's request`,
    run: (context) => runCompletion(context, subject),
  };
}

interface Answer {
  text: string;
  milliseconds: number;
  /** Of the prompt, between asking and the answer. */
  computedTokens: number;
}

/** Completes a case; what it does before it is asked is not measured. */
type System = (one: CompletionCase) => Promise<Answer>;

async function runCompletion(
  { root, quick, stops, log }: BenchmarkContext,
  { model, target }: Subject,
): Promise<BenchmarkResult> {
  const cases = readCases(quick ? 8 : 50);
  const conditions = { modelPath: await ensureModel(model), threads: physicalCores(), contextLength };
  const server = await LlamaServer.start(await ensureLlamaTool("llama-server"), conditions, stops);
  const engine = await startEngine(root, conditions, stops);
  const systems = {
    // First, because a later one of NMOS would find the context computed.
    "NMOS at once": nmos(engine, conditions.modelPath, false),
    "NMOS after a pause": nmos(engine, conditions.modelPath, true),
    "llama.vscode's request, llama-server": infill(server),
    "prefix, suffix, middle": usualPrompt(server),
  } satisfies Record<string, System>;
  type Name = keyof typeof systems;
  const names = Object.keys(systems) as Name[];
  const answers = new Map<Name, Answer[]>(names.map((name) => [name, []]));
  for (const [index, one] of cases.entries()) {
    if (index % 10 === 0) log(`case ${String(index + 1)} of ${String(cases.length)}`);
    for (const name of names) answers.get(name)?.push(await systems[name](one));
  }
  await server.close();
  await engine.close();

  const shares = (name: Name) =>
    (answers.get(name) ?? []).map(({ text }, index) => matchedShare(text, cases[index]?.expected ?? ""));
  const exact = (name: Name) => mean(shares(name).map((share) => (share === 1 ? 1 : 0)));
  const time = (name: Name) => median((answers.get(name) ?? []).map(({ milliseconds }) => milliseconds));
  const tokens = (name: Name) => median((answers.get(name) ?? []).map(({ computedTokens }) => computedTokens));
  const rows: Row[] = [plainRow({ id: "cases", unit: "", value: cases.length })];
  for (const ours of ["NMOS after a pause", "NMOS at once"] as const) {
    for (const peer of ["llama.vscode's request, llama-server", "prefix, suffix, middle"] as const) {
      const goal = ours === "NMOS after a pause" && peer !== "prefix, suffix, middle" ? target : null;
      const compare = (
        what: string,
        unit: string,
        better: "higher" | "lower",
        wanted: number | null,
        of: (name: Name) => number,
      ) =>
        rows.push(
          singleRow({ id: `${ours}: ${what}`, unit, peer, ours: of(ours), theirs: of(peer), better, target: wanted }),
        );
      compare("lines completed exactly", "", "higher", goal, exact);
      compare("share of the line before the first error", "", "higher", null, (name) => mean(shares(name)));
      compare("time to the suggestion", "ms", "lower", null, time);
      compare("prompt tokens computed when asked", "", "lower", null, tokens);
    }
  }
  return { rows, versions: { "llama.cpp": pins.llamaCpp.version } };
}

function nmos({ client }: EngineUnderTest, ref: string, afterPause: boolean): System {
  return async ({ file, prefix, suffix }) => {
    const place = { model: ref, path: file, languageId: "typescript", prefix, suffix, extracts: [], maxTokens: 96 };
    if (afterPause) await pause(client, place);
    const { value, milliseconds } = await timed(() =>
      client.request("completion/complete", { ...place, lines: "single" }),
    );
    const { text, usage } = value;
    return { text, milliseconds, computedTokens: usage.promptTokens - usage.reusedTokens };
  };
}

/**
 * So long that the whole context was computed in it: what the host spends on computing ahead is limited, and lines follow
 * each other faster here than anybody comes to a new place.
 */
async function pause(
  client: ConfigurableEngineClient,
  place: Omit<CompletionPrefillParams, "reach" | "load">,
): Promise<void> {
  const until = performance.now() + longestPause;
  while (performance.now() < until) {
    const ahead = await client.request("completion/prefill", { ...place, reach: "whole", load: true });
    if (ahead && !ahead.cancelled) return;
    await setTimeout(pauseSteps);
  }
  throw new Error(`expected the context of ${place.path} to be computed in ${String(longestPause)} ms`);
}

function infill(server: LlamaServer): System {
  return async ({ prefix, suffix }) => {
    const document = { text: prefix + suffix, cursor: prefix.length };
    const { value, milliseconds } = await timed(() => server.infill(placeOf(document), { unlimited: true }));
    return { text: withoutIndent(value.content, document), milliseconds, computedTokens: value.computedTokens };
  };
}

function usualPrompt(server: LlamaServer): System {
  return async ({ prefix, suffix }) => {
    const prompt = `<|fim_prefix|>${prefix}<|fim_suffix|>${suffix}<|fim_middle|>`;
    const { value, milliseconds } = await timed(() => server.complete(prompt));
    return { text: value.content, milliseconds, computedTokens: value.computedTokens };
  };
}

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; milliseconds: number }> {
  const begin = performance.now();
  const value = await work();
  return { value, milliseconds: performance.now() - begin };
}
