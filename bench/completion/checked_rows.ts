import { plainRow, singleRow, type Row } from "../harness/report";
import { mean, median, percentage, sum } from "../harness/statistics";
import { matchedShare } from "./cases";

export interface Cost {
  milliseconds: number;
  /** Of all threads of the process. */
  processorMs: number;
  /** Of the machine; 0 where it has no meter. */
  joules: number;
}

export interface Answer extends Cost {
  text: string;
  /** Over the model, behind the prompt. */
  passes: number;
}

/** One line, completed in each way. */
export interface CheckedSample {
  expected: string;
  fast: Answer;
  /** What the check said; null: nothing was suggested, so that there was nothing to be checked. */
  checked: Answer | null;
  /** The larger model without a suggestion. */
  alone: Answer;
  fastContext: Cost;
  mainContext: Cost;
}

/** A way to complete a line: what is on the screen in the end, when, and for what. */
interface Way {
  peer: string;
  texts: string[];
  firstMs: number[];
  lastMs: number[];
  /** With the context computed before. */
  answers: Cost;
  contexts: Cost;
}

export const noCost: Cost = { milliseconds: 0, processorMs: 0, joules: 0 };

/** `hasMeter`: the joules are measured. */
export function checkedRows(samples: readonly CheckedSample[], hasMeter: boolean): Row[] {
  const ways = waysOf(samples);
  const peers = [ways.fast, ways.alone];
  const shares = (way: Way) => way.texts.map((text, index) => matchedShare(text, samples[index]?.expected ?? ""));
  const exact = (way: Way) => shares(way).filter((share) => share === 1).length;
  const compare = (id: string, unit: string, better: "higher" | "lower", of: (way: Way) => number): Row[] =>
    peers.map((way) =>
      singleRow({ id, unit, peer: way.peer, ours: of(ways.checked), theirs: of(way), better, target: null }),
    );
  const perCost = (id: string, unit: string, cost: (way: Way) => number) =>
    compare(id, unit, "higher", (way) => exact(way) / Math.max(cost(way), Number.MIN_VALUE));
  const count = samples.length;
  return [
    plainRow({ id: "cases", unit: "", value: count }),
    ...compare("lines completed exactly", "%", "higher", (way) => percentage(exact(way), count)),
    ...compare("share of the line before the first error", "%", "higher", (way) => 100 * mean(shares(way))),
    ...compare("time to the first text", "ms", "lower", ({ firstMs }) => median(firstMs)),
    ...compare("time to the final text", "ms", "lower", ({ lastMs }) => median(lastMs)),
    ...compare("processor time of a suggestion", "ms", "lower", ({ answers }) => answers.processorMs / count),
    ...compare(
      "processor time of a suggestion and all of its context",
      "ms",
      "lower",
      ({ answers, contexts }) => (answers.processorMs + contexts.processorMs) / count,
    ),
    ...perCost("exact lines a second of processor time", "/s", ({ answers }) => answers.processorMs / 1000),
    ...perCost(
      "exact lines a second of processor time, with contexts",
      "/s",
      ({ answers, contexts }) => (answers.processorMs + contexts.processorMs) / 1000,
    ),
    ...perCost("exact lines a second until the final text", "/s", ({ lastMs }) => sum(lastMs) / 1000),
    ...(hasMeter
      ? perCost("exact lines a joule, with contexts", "/J", ({ answers, contexts }) => answers.joules + contexts.joules)
      : []),
    ...changes(samples),
  ];
}

function waysOf(samples: readonly CheckedSample[]): Record<"fast" | "checked" | "alone", Way> {
  const total = (costs: readonly Cost[]) => costs.reduce(add, noCost);
  const fast = samples.map((sample) => sample.fast);
  const alone = samples.map((sample) => sample.alone);
  const checks = samples.map(({ checked }) => checked ?? { ...noCost, text: "", passes: 0 });
  const fastContexts = total(samples.map(({ fastContext }) => fastContext));
  const mainContexts = total(samples.map(({ mainContext }) => mainContext));
  const times = (answers: readonly Answer[]) => answers.map(({ milliseconds }) => milliseconds);
  const single = (peer: string, answers: Answer[], contexts: Cost): Way => ({
    peer,
    texts: answers.map(({ text }) => text),
    firstMs: times(answers),
    lastMs: times(answers),
    answers: total(answers),
    contexts,
  });
  return {
    fast: single("0.5B alone", fast, fastContexts),
    alone: single("1.5B alone", alone, mainContexts),
    checked: {
      peer: "0.5B checked by 1.5B",
      texts: checks.map(({ text }) => text),
      firstMs: times(fast),
      lastMs: fast.map(({ milliseconds }, index) => milliseconds + (checks[index]?.milliseconds ?? 0)),
      answers: add(total(fast), total(checks)),
      contexts: add(fastContexts, mainContexts),
    },
  };
}

/** What became of the suggestions that were checked, and how many passes it took. */
function changes(samples: readonly CheckedSample[]): Row[] {
  const pairs = samples.flatMap(({ expected, fast, checked, alone }) =>
    checked
      ? [
          {
            before: matchedShare(fast.text, expected),
            after: matchedShare(checked.text, expected),
            fast,
            checked,
            alone,
          },
        ]
      : [],
  );
  const changed = pairs.filter(({ fast, checked }) => fast.text !== checked.text);
  const share = (id: string, part: readonly unknown[], all: readonly unknown[]) =>
    plainRow({ id, unit: "%", value: percentage(part.length, all.length) });
  return [
    share(
      "suggestions kept",
      pairs.filter((pair) => !changed.includes(pair)),
      pairs,
    ),
    share("suggestions changed", changed, pairs),
    share(
      "of the changed: wrong before, right now",
      changed.filter(({ before, after }) => before < 1 && after === 1),
      changed,
    ),
    share(
      "of the changed: right before, wrong now",
      changed.filter(({ before, after }) => before === 1 && after < 1),
      changed,
    ),
    share(
      "of the changed: more of the line is right",
      changed.filter(({ before, after }) => after > before),
      changed,
    ),
    share(
      "of the changed: less of the line is right",
      changed.filter(({ before, after }) => after < before),
      changed,
    ),
    share(
      "of the changed: nothing is left",
      changed.filter(({ checked }) => checked.text === ""),
      changed,
    ),
    singleRow({
      ...{ id: "passes over the 1.5B for a suggestion", unit: "", peer: "1.5B alone", better: "lower", target: null },
      ...{
        ours: mean(pairs.map(({ checked }) => checked.passes)),
        theirs: mean(pairs.map(({ alone }) => alone.passes)),
      },
    }),
    singleRow({
      ...{ id: "time of the 1.5B for a suggestion", unit: "ms", peer: "1.5B alone", better: "lower", target: null },
      ours: mean(pairs.map(({ checked }) => checked.milliseconds)),
      theirs: mean(pairs.map(({ alone }) => alone.milliseconds)),
    }),
  ];
}

function add(one: Cost, other: Cost): Cost {
  return {
    milliseconds: one.milliseconds + other.milliseconds,
    processorMs: one.processorMs + other.processorMs,
    joules: one.joules + other.joules,
  };
}
