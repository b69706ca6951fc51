import { seededRandom } from "../harness/statistics";

/** A key and the milliseconds to wait before it. */
export interface Keystroke {
  key: string;
  gap: number;
}

/** Milliseconds between the keys of somebody who types at a moderate pace: the median, and its spread as a factor's logarithm. */
const usualGap = { median: 140, spread: 0.45 };

/** After one word in so many somebody stops for so many milliseconds, which is when ghost text comes. */
const thinking = { words: 6, least: 700, most: 1500 };

/** `text`, key by key, with gaps as a person has them; the same ones in every run. */
export function keystrokes(text: string, seed: number): Keystroke[] {
  const random = seededRandom(seed);
  return Array.from(text).map((letter, index, letters) => {
    const isNewWord = letter !== " " && letters[index - 1] === " ";
    const isThinking = isNewWord && random() < 1 / thinking.words;
    const gap = isThinking
      ? thinking.least + random() * (thinking.most - thinking.least)
      : usualGap.median * Math.exp(usualGap.spread * normal(random));
    return { key: letter === "\n" ? "Enter" : letter, gap };
  });
}

/** Of the standard normal distribution (Box and Muller, 1958). */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
