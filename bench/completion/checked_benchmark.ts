/**
 * Whether it pays to have a larger model check ghost text (`nmos.completion.checkWithMainModel`): lines cut at random columns,
 * completed by the fast model alone, by that and checked by the larger one, and by the larger one alone. The text around the
 * cursor is a part of what the product takes, so that there is time for many lines.
 *
 * Processor time of this process stands in for energy where the machine has no meter. It is that of both threads of a pass,
 * which wait for each other by spinning: where other programs use the cores, it is too much, for all of them alike.
 */
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import { wholePrompt } from "../../src/engine/completion/choose_context";
import { checkSuggestion } from "../../src/engine/completion/check_suggestion";
import { completeCode, type Completion } from "../../src/engine/completion/complete_code";
import { firstLines, lastLines } from "../../src/engine/completion/fim_prompt";
import type { NativeModelHandle } from "../../src/engine/host/native_model_handle";
import type { Speculation } from "../../src/shared/engine_settings";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { EnergyMeter } from "../harness/energy";
import { physicalCores } from "../harness/machine";
import { readCases, type CompletionCase } from "./cases";
import { checkedRows, type CheckedSample, type Cost } from "./checked_rows";
import { lineOf, openHandle } from "./whole_context";

const fastModel = "qwen2.5-coder-0.5b";
const mainModel = "qwen2.5-coder-1.5b";
const contextLength = 8192;

export const checkedBenchmark: Benchmark = {
  name: "checked",
  summary: "ghost text checked by a larger model, for cut lines (the file that NMOS_BENCH_CASES names)",
  run: runChecked,
};

interface Models {
  fast: NativeModelHandle;
  main: NativeModelHandle;
  /** Of both. */
  setting: { speculation: Speculation };
}

async function runChecked({ root, quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  const cases = inAnyOrder(readCases(quick ? 24 : 100)).map(shortened);
  const setting: Models["setting"] = { speculation: "auto" };
  const open = async (id: string) => {
    const conditions = { modelPath: await ensureModel(id), threads: physicalCores(), contextLength };
    return openHandle(root, conditions, setting, stops);
  };
  const models = { fast: await open(fastModel), main: await open(mainModel), setting };
  const meter = EnergyMeter.find();
  // What passes cost is learned with the first answers, which do not count.
  const [first] = cases;
  if (first) await measure(models, first, false, meter);
  const samples: CheckedSample[] = [];
  const end = performance.now() + (quick ? 4 : 11) * 60_000;
  for (const [index, one] of cases.entries()) {
    // On a busy machine there is time for fewer lines; how many there were is told.
    if (performance.now() > end) break;
    log(`case ${String(index + 1)} of ${String(cases.length)}`);
    samples.push(await measure(models, one, index % 2 === 1, meter));
  }
  return { rows: checkedRows(samples, meter !== null), versions: { "llama.cpp": pins.llamaCpp.version } };
}

/** So that the first ones are from all over the file, whenever there is no more time. */
function inAnyOrder<T>(all: readonly T[]): T[] {
  const step = 7;
  return Array.from({ length: step }, (_, first) => all.filter((_one, index) => index % step === first)).flat();
}

/** Some 400 tokens of context. */
function shortened(one: CompletionCase): CompletionCase {
  return { ...one, prefix: lastLines(one.prefix, 1200), suffix: firstLines(one.suffix, 300) };
}

/** `isAloneFirst`: the order in which the larger model checks and completes alone. */
async function measure(
  { fast, main, setting }: Models,
  one: CompletionCase,
  isAloneFirst: boolean,
  meter: EnergyMeter | null,
): Promise<CheckedSample> {
  const { signal } = new AbortController();
  const ofFast = lineOf(one, fast);
  const ofMain = lineOf(one, main);
  /** What a model writes without the memory of what it wrote for this line before: an answer with guessing off has it forget. */
  const written = async <T>(model: NativeModelHandle, write: () => Promise<T>) => {
    setting.speculation = "off";
    const { tokens } = await wholePrompt(model, lineOf(one, model));
    await model.generate({ tokens, priority: "suggest", maxTokens: 1, signal });
    setting.speculation = "auto";
    return costOf(meter, write);
  };
  const fastContext = await costOf(meter, () => computeContext(fast, one));
  const suggested = await written(fast, () => completeCode(fast, ofFast, { signal }));
  const mainContext = await costOf(meter, () => computeContext(main, one));
  const { text: suggestion } = suggested.value;
  const check = () =>
    written(main, async () => {
      const checked = await checkSuggestion(main, { ...ofMain, mainModel: main.ref, suggestion }, { signal });
      if (!checked) throw new Error("expected the context to be there, so that the suggestion is checked");
      return checked;
    });
  const complete = () => written(main, () => completeCode(main, ofMain, { signal }));
  let alone = isAloneFirst ? await complete() : null;
  // What is not shown is not checked.
  const checked = suggestion === "" ? null : await check();
  alone ??= await complete();
  return {
    expected: one.expected,
    fast: answerOf(suggested),
    checked: checked && answerOf(checked),
    alone: answerOf(alone),
    fastContext: fastContext.cost,
    mainContext: mainContext.cost,
  };
}

async function computeContext(model: NativeModelHandle, one: CompletionCase): Promise<void> {
  const { tokens } = await wholePrompt(model, lineOf(one, model));
  await model.prefill({ tokens, priority: "suggest" });
}

function answerOf({ value: { text, usage }, cost }: { value: Completion; cost: Cost }): CheckedSample["alone"] {
  return { text, passes: usage.decodePasses, ...cost };
}

async function costOf<T>(meter: EnergyMeter | null, work: () => Promise<T>): Promise<{ value: T; cost: Cost }> {
  meter?.lap();
  const begin = performance.now();
  const usage = process.cpuUsage();
  const value = await work();
  const { user, system } = process.cpuUsage(usage);
  const milliseconds = performance.now() - begin;
  return { value, cost: { milliseconds, processorMs: (user + system) / 1000, joules: meter?.lap() ?? 0 } };
}
