/** How long llama.cpp's kinds of speculation, which draft by fixed rules, would take for a recorded answer. */
import type { Recorded } from "./replayed_answers";

/** Seconds. */
export interface Costs {
  pass: (width: number) => number;
  draftPass: number;
}

/** The tokens to verify behind the first `done` of the answer, and the passes over a draft model that takes. */
type Drafter = (recorded: Recorded, done: number) => { tokens: number[]; passes: number };

/** A draft model guesses up to `most` tokens, while it is at least so sure of them. */
export function fromModel(most: number, leastProbability: number): Drafter {
  return ({ guesses, answer }, done) => {
    const tokens: number[] = [];
    let passes = 0;
    for (let place = done; place < Math.min(done + most, answer.length); place++) {
      const guess = guesses[place];
      if (!guess) break;
      passes += 1;
      if (guess.probability < leastProbability) break;
      tokens.push(guess.token);
      // Behind a wrong guess it goes on, as sure of itself as it would be on the right way.
    }
    return { tokens, passes };
  };
}

/** The last place with the same `match` tokens tells the next `most`. */
export function fromText(match: number, most: number): Drafter {
  return ({ prompt, answer }, done) => {
    const text = [...prompt, ...answer.slice(0, done)];
    const end = text.slice(-match).join();
    for (let place = text.length - 1; place >= match; place--) {
      if (text.slice(place - match, place).join() === end)
        return { tokens: text.slice(place, place + most), passes: 0 };
    }
    return { tokens: [], passes: 0 };
  };
}

export const withoutDrafts: Drafter = () => ({ tokens: [], passes: 0 });

/** Of decoding the answer, whose first token comes with the prompt. */
export function secondsOf(recorded: Recorded, drafter: Drafter, costs: Costs): number {
  const { answer } = recorded;
  let seconds = 0;
  for (let done = 1; done < answer.length;) {
    const { tokens, passes } = drafter(recorded, done);
    seconds += passes * costs.draftPass + costs.pass(1 + tokens.length);
    let right = 0;
    while (right < tokens.length && tokens[right] === answer[done + right]) right += 1;
    done += right + 1;
  }
  return seconds;
}

/** Linear between the measured widths, and beyond them. */
export function costOfWidth(measured: ReadonlyMap<number, number>): (width: number) => number {
  const points = [...measured].toSorted(([a], [b]) => a - b);
  return (width) => {
    const above = points.findIndex(([measuredWidth]) => measuredWidth >= width);
    const index = Math.max(1, above === -1 ? points.length - 1 : above);
    const [[from, low], [to, high]] = [points[index - 1] ?? [NaN, NaN], points[index] ?? [NaN, NaN]];
    return low + ((width - from) / (to - from)) * (high - low);
  };
}
