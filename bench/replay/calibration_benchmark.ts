/**
 * Whether suggestions are as often right as they are thought to be while somebody types: at pauses of a recorded session every
 * suggestion is computed, also those that would be hidden, and compared with what was typed next.
 */
import { ensureModel } from "../../scripts/fetch_model";
import { AcceptRate } from "../../src/engine/completion/accept_rate";
import { wholePrompt } from "../../src/engine/completion/choose_context";
import { completeCode } from "../../src/engine/completion/complete_code";
import {
  features,
  featuresOf,
  fittedModel,
  leastProbability,
  probabilityOf,
} from "../../src/engine/completion/suggestion_score";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { fitLogistic, toldApart, type Sample } from "../completion/logistic_regression";
import { openHandle } from "../completion/whole_context";
import { physicalCores } from "../harness/machine";
import { plainRow, singleRow, type Row } from "../harness/report";
import { mean, percentage } from "../harness/statistics";
import { pausedPlaces } from "./paused_places";
import { rightCharacters } from "./replay";
import { longestPause, readTrace, timedEdits, tracedFile, tracePath, traceVariable } from "./trace";

const model = "qwen2.5-coder-0.5b";
const contextLength = 8192;

/** Probabilities between which suggestions are looked at together: those from which they are hidden. */
const bounds = [...Object.values(leastProbability), 1];

export const calibrationBenchmark: Benchmark = {
  name: "calibration",
  summary: `how often suggestions in a recorded session (the file that ${traceVariable} names) are right, beside how probable they were thought`,
  run: runCalibration,
};

async function runCalibration({ root, quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  const trace = readTrace(tracePath());
  const edits = timedEdits(trace, longestPause);
  const places = pausedPlaces(
    trace.startContent,
    edits,
    quick ? { stretches: 5, each: 8 } : { stretches: 20, each: 15 },
  );
  const conditions = { modelPath: await ensureModel(model), threads: physicalCores(), contextLength };
  const handle = await openHandle(root, conditions, { speculation: "off" }, stops);
  const { signal } = new AbortController();
  const samples: Sample[] = [];
  for (const [index, { prefix, suffix, typed }] of places.entries()) {
    if (index % 15 === 0) log(`pause ${String(index + 1)} of ${String(places.length)}`);
    const place = { ...tracedFile, prefix, suffix, extracts: [], maxTokens: 96 };
    const params = { ...place, model: handle.ref, lines: "auto" as const };
    await handle.prefill({ tokens: (await wholePrompt(handle, params)).tokens, priority: "suggest" });
    const suggestion = await completeCode(handle, params, { signal });
    const values = featuresOf(suggestion);
    if (values) samples.push({ features: values, isRight: rightCharacters(suggestion.text, typed) > 0 });
  }
  const { intercept, weights } = fitLogistic(samples);
  const shown = weights.map((weight, index) => `${features[index] ?? ""} ${weight.toFixed(3)}`).join(", ");
  log(`fitted to the session: intercept ${intercept.toFixed(3)}, ${shown}`);
  return {
    rows: [plainRow({ id: "pauses", unit: "", value: places.length }), ...calibrationRows(samples)],
    versions: {},
  };
}

interface Judged {
  probability: number;
  isRight: boolean;
}

/** The samples in the order of the session. */
export function calibrationRows(samples: readonly Sample[]): Row[] {
  const judged = samples.map(({ features, isRight }) => ({
    probability: probabilityOf(fittedModel, features),
    isRight,
  }));
  const half = Math.ceil(samples.length / 2);
  const later = samples.slice(half);
  return [
    plainRow({ id: "suggestions", unit: "", value: judged.length }),
    ...reliabilityRows("all suggestions", judged),
    ...bounds.slice(1).flatMap((to, index) => {
      const from = bounds[index] ?? 0;
      const some = judged.filter(({ probability }) => probability >= from && (probability < to || to === 1));
      return reliabilityRows(`those thought ${String(from)} to ${String(to)} probable`, some);
    }),
    singleRow({
      ...{ id: "pairs of a right and a wrong suggestion told apart, in the later half", unit: "%", better: "higher" },
      ...{ peer: "by coefficients fitted to the earlier half", target: null },
      ours: 100 * toldApart(fittedModel, later),
      theirs: 100 * toldApart(fitLogistic(samples.slice(0, half)), later),
    }),
    ...Object.entries(leastProbability).flatMap(([level, least]) =>
      least === 0
        ? []
        : [
            ...hidingRows(level, judged, ({ probability }) => probability >= least),
            ...hidingRows(`${level}, with what the user accepts`, judged, acceptedBefore(least)),
          ],
    ),
  ];
}

/** Above 1 more are right than were thought to be. Of nothing there is none. */
function reliabilityRows(id: string, judged: readonly Judged[]): Row[] {
  if (judged.length === 0) return [];
  const right = judged.filter(({ isRight }) => isRight).length;
  return [
    singleRow({
      ...{ id: `${id} (${String(judged.length)}): thought right`, unit: "%", peer: "are right", target: null },
      ...{ better: "lower", ours: 100 * mean(judged.map(({ probability }) => probability)) },
      theirs: percentage(right, judged.length),
    }),
  ];
}

/** Whether each in turn is shown to somebody who accepts what is right. */
function acceptedBefore(least: number): (one: Judged) => boolean {
  const rate = new AcceptRate();
  return ({ probability, isRight }) => {
    const isShown = rate.adjusted(probability) >= least;
    if (isShown) rate.record(probability, isRight);
    return isShown;
  };
}

function hidingRows(id: string, judged: readonly Judged[], isShown: (one: Judged) => boolean): Row[] {
  const shown = judged.filter((one) => isShown(one));
  const rightOf = (some: readonly Judged[]) => some.filter(({ isRight }) => isRight).length;
  const wrong = judged.length - rightOf(judged);
  return [
    singleRow({
      ...{
        id: `${id}: shown suggestions that are right`,
        unit: "%",
        peer: "all shown",
        better: "higher",
        target: null,
      },
      ours: percentage(rightOf(shown), shown.length),
      theirs: percentage(rightOf(judged), judged.length),
    }),
    plainRow({
      id: `${id}: right suggestions that are shown`,
      unit: "%",
      value: percentage(rightOf(shown), rightOf(judged)),
    }),
    plainRow({
      ...{ id: `${id}: wrong suggestions that are hidden`, unit: "%" },
      value: 100 - percentage(shown.length - rightOf(shown), wrong),
    }),
  ];
}
