/**
 * What the whole stack costs: NMOS measured at its client, against the same engine library without a stack around it
 * (llama-bench) and against the other way to use it from Node (node-llama-cpp). All three run the same kernels, with the
 * same threads and flash attention decided by the library, on the processor alone; the width of a prefill pass is what
 * each of them chooses, and all three decode one token a pass.
 */
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import { ensureLlamaTool } from "../../scripts/setup/llama_tools";
import { ensureNodeLlamaCpp } from "../../scripts/setup/node_llama_cpp";
import peers from "../package.json";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { QuietSampler } from "../harness/interference";
import { physicalCores } from "../harness/machine";
import type { Row } from "../harness/report";
import { interleave } from "../harness/rounds";
import { LlamaBench } from "../peers/llama_bench";
import { NodeLlamaCpp } from "../peers/node_llama_cpp";
import { measureCancellations } from "./cancellation";
import type { Conditions, Contender } from "./contender";
import { startEngine } from "./engine_under_test";
import { Nmos } from "./nmos";
import { fullPlan, quickPlan, type StackPlan } from "./plan";
import { measureOverhead } from "./protocol_overhead";
import { cancellationRows, decodeRows, overheadRows, prefillRows, type ContenderName } from "./rows";

const contextLength = 1024;

const names: readonly ContenderName[] = ["nmos", "llama-bench", "node-llama-cpp"];

export const stackBenchmark: Benchmark = {
  name: "stack",
  summary: "prefill, decode, first token, protocol and cancel through the whole stack, against the bare engine library",
  run: (context) => runStack(context, context.quick ? quickPlan : fullPlan),
};

export async function runStack(context: BenchmarkContext, plan: StackPlan): Promise<BenchmarkResult> {
  const programs = { llamaBench: await ensureLlamaTool("llama-bench"), nodeLlamaCpp: await ensureNodeLlamaCpp() };
  const paths = new Map<string, string>();
  for (const { id } of plan.models) paths.set(id, await ensureModel(id));
  const rows: Row[] = [];
  let disturbedSamples = 0;
  const patienceMs = plan.patienceMs / plan.models.length;
  for (const { id, label } of plan.models) {
    const modelPath = paths.get(id) ?? "";
    const conditions: Conditions = { modelPath, threads: physicalCores(), contextLength };
    const speeds = await measureSpeeds(context, { ...plan, patienceMs }, conditions, label, programs);
    rows.push(...speeds.rows);
    disturbedSamples += speeds.disturbed;
    rows.push(...(await measureReactions(context, plan, conditions, label)));
  }
  const versions = { "llama.cpp": pins.llamaCpp.version, "node-llama-cpp": peers.dependencies["node-llama-cpp"] };
  return { rows, versions, disturbedSamples };
}

/** Speeds of all contenders, in alternation. */
async function measureSpeeds(
  { root, stops, log }: BenchmarkContext,
  plan: StackPlan,
  conditions: Conditions,
  label: string,
  programs: { llamaBench: string; nodeLlamaCpp: string },
): Promise<{ rows: Row[]; disturbed: number }> {
  log(`${label}: loading`);
  const nmos = await Nmos.start(root, conditions, stops);
  const nodeLlamaCpp = await NodeLlamaCpp.start(programs.nodeLlamaCpp, conditions, nmos.prompts, stops);
  const contenders: Record<ContenderName, Contender> = {
    nmos,
    "llama-bench": new LlamaBench(programs.llamaBench, conditions, stops),
    "node-llama-cpp": nodeLlamaCpp,
  };
  const sampler = new QuietSampler({
    processIds: () => names.flatMap((name) => contenders[name].processIds()),
    patienceMs: plan.patienceMs,
    log,
  });
  /** Of the same rounds of all contenders. */
  const alternate = <Value>(what: string, measure: (contender: Contender) => Promise<Value>) => {
    log(`${label}: ${what}`);
    return interleave(names, plan.rounds, (name, round) =>
      sampler.sample(`${label}, ${what}, ${name}, round ${round + 1}`, () => measure(contenders[name])),
    );
  };
  try {
    await nmos.warmUp();
    const rows: Row[] = [];
    for (const tokens of plan.prefill) {
      const samples = await alternate(`prefill of ${tokens}`, (contender) => contender.prefill(tokens));
      rows.push(...prefillRows(label, tokens, samples));
    }
    const { depth, tokens } = plan.decode;
    const samples = await alternate(`decode of ${tokens}`, (contender) => contender.decode(depth, tokens));
    rows.push(...decodeRows(label, samples));
    return { rows, disturbed: sampler.disturbed };
  } finally {
    await nodeLlamaCpp.close();
    await nmos.close();
  }
}

/** What a token costs on its way and how fast a cancelled answer ends; nothing else runs meanwhile. */
async function measureReactions(
  { root, stops, log }: BenchmarkContext,
  plan: StackPlan,
  conditions: Conditions,
  label: string,
): Promise<Row[]> {
  log(`${label}: protocol overhead`);
  const overhead = await measureOverhead(root, conditions, stops, plan.overhead);
  log(`${label}: cancellation`);
  const engine = await startEngine(root, conditions, stops);
  try {
    const cancelledMs = await measureCancellations(engine, conditions.modelPath, plan.cancellations);
    return [...overheadRows(label, overhead), ...cancellationRows(label, cancelledMs)];
  } finally {
    await engine.close();
  }
}
