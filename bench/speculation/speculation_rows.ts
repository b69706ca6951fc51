import { comparisonRow, plainRow, type Row } from "../harness/report";

export interface SpeculationFigures {
  id: string;
  /** Tokens a second with guessed tokens and without, in pairs. */
  speeds: { auto: readonly number[]; off: readonly number[] };
  target: number;
  /** Guessed tokens, and those of them that were right. */
  drafted: number;
  accepted: number;
  /** Answers that guessing has not changed, of all. */
  same: number;
  answers: number;
}

/** What guessing has gained, how often it was right, and whether it has changed answers. */
export function speculationRows({ id, speeds, target, drafted, accepted, same, answers }: SpeculationFigures): Row[] {
  return [
    comparisonRow({
      id,
      unit: "tokens/s",
      peer: "one token a pass",
      ours: speeds.auto,
      theirs: speeds.off,
      better: "higher",
      target,
    }),
    plainRow({
      id: `${id}: guessed tokens that were right`,
      unit: "%",
      value: drafted > 0 ? (100 * accepted) / drafted : 0,
    }),
    plainRow({ id: `${id}: answers that are the same`, unit: "%", value: (100 * same) / answers }),
  ];
}
