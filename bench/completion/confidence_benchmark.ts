/**
 * Which suggestions are better not shown: lines cut at random columns are completed, a logistic model of which completions
 * are right is fitted to a half of them, and the rest tells what hiding the improbable ones would do.
 */
import { ensureModel } from "../../scripts/fetch_model";
import type { Suggestion } from "../../src/engine/completion/suggestion";
import {
  features,
  featuresOf,
  fittedModel,
  leastProbability,
  probabilityOf,
} from "../../src/engine/completion/suggestion_score";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { physicalCores } from "../harness/machine";
import { plainRow, singleRow, type Row } from "../harness/report";
import { percentage } from "../harness/statistics";
import { matchedShare, readCases, type CompletionCase } from "./cases";
import { fitLogistic, toldApart, type Sample } from "./logistic_regression";
import { openModel } from "./whole_context";

const model = "qwen2.5-coder-0.5b";
const contextLength = 8192;

/** A suggestion with what is known of its place. */
export interface JudgedSample extends Sample {
  place: readonly number[];
}

export const confidenceBenchmark: Benchmark = {
  name: "confidence",
  summary: "which suggestions for cut lines (the file that NMOS_BENCH_CASES names) are better not shown",
  run: runConfidence,
};

async function runConfidence({ root, quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  const cases = readCases(quick ? 40 : 200);
  const modelPath = await ensureModel(model);
  const complete = await openModel(root, { modelPath, threads: physicalCores(), contextLength }, stops);
  const suggestions: Suggestion[] = [];
  for (const [index, one] of cases.entries()) {
    if (index % 20 === 0) log(`case ${String(index + 1)} of ${String(cases.length)}`);
    suggestions.push(await complete(one));
  }
  const samples = samplesOf(cases, suggestions);
  const { intercept, weights } = fitLogistic(samples);
  const shown = weights.map((weight, index) => `${features[index] ?? ""} ${weight.toFixed(3)}`).join(", ");
  log(`fitted to all of them: intercept ${intercept.toFixed(3)}, ${shown}`);
  return { rows: confidenceRows(samples), versions: {} };
}

/** Suggestions that would be shown, with what is known of them and of their places, and whether the line had them. */
export function samplesOf(cases: readonly CompletionCase[], suggestions: readonly Suggestion[]): JudgedSample[] {
  return cases.flatMap(({ prefix, expected }, index) => {
    const suggestion = suggestions[index];
    const values = suggestion && featuresOf(suggestion);
    const isRight = matchedShare(suggestion?.text ?? "", expected) === 1;
    return values ? [{ features: values, place: placeFeatures(prefix), isRight }] : [];
  });
}

/** How far to the right it is, whether a word is cut in two, and whether it looks like a comment. */
function placeFeatures(prefix: string): number[] {
  const line = prefix.slice(prefix.lastIndexOf("\n") + 1);
  return [line.length / 100, /\w$/.test(line) ? 1 : 0, /\/\/|\/\*|^\s*[*#]/.test(line) ? 1 : 0];
}

/** Every second sample is fitted to, the others are judged. */
export function confidenceRows(samples: readonly JudgedSample[]): Row[] {
  const known = samples.filter((_, index) => index % 2 === 0);
  const judged = samples.filter((_, index) => index % 2 === 1);
  const share = (featuresFrom: (sample: JudgedSample) => readonly number[]) => {
    const chosen = (some: readonly JudgedSample[]) =>
      some.map((sample) => ({ isRight: sample.isRight, features: featuresFrom(sample) }));
    return 100 * toldApart(fitLogistic(chosen(known)), chosen(judged));
  };
  const fitted = fitLogistic(known);
  const right = judged.filter(({ isRight }) => isRight);
  const rows = [
    plainRow({ id: "suggestions judged", unit: "", value: judged.length }),
    singleRow({
      ...{ id: "pairs of a right and a wrong suggestion told apart", unit: "%", better: "higher", target: null },
      ...{ peer: "by the place alone", ours: share((sample) => sample.features), theirs: share(({ place }) => place) },
    }),
    plainRow({
      id: "the same by the place, too",
      unit: "%",
      value: share((sample) => [...sample.features, ...sample.place]),
    }),
    plainRow({ id: "the same by the coefficients in use", unit: "%", value: 100 * toldApart(fittedModel, judged) }),
  ];
  for (const [level, least] of Object.entries(leastProbability)) {
    if (least === 0) continue;
    const shown = judged.filter((sample) => probabilityOf(fitted, sample.features) >= least);
    const shownRight = shown.filter(({ isRight }) => isRight).length;
    rows.push(
      singleRow({
        ...{ id: `${level}, ${String(least)}: shown suggestions that are right`, unit: "%", better: "higher" },
        ...{ peer: "all shown", target: null, ours: percentage(shownRight, shown.length) },
        theirs: percentage(right.length, judged.length),
      }),
      plainRow({
        id: `${level}, ${String(least)}: right suggestions that are still shown`,
        unit: "%",
        value: percentage(shownRight, right.length),
      }),
      plainRow({
        id: `${level}, ${String(least)}: wrong suggestions that are hidden`,
        unit: "%",
        value: 100 - percentage(shown.length - shownRight, judged.length - right.length),
      }),
    );
  }
  return rows;
}
