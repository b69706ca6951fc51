/**
 * Token healing. A cursor often stands inside what the tokenizer would make one token ("pri|nt"), where a model has
 * never seen a prompt end. So the last word, run of punctuation or run of blanks is taken off the prompt, and the
 * generation is forced to begin with it. (The idea is from microsoft/guidance, 2023.)
 */
export interface HealedPrefix {
  /** What the prompt ends with. */
  head: string;
  /** What the generation has to begin with; `head + beginWith` is the text before the cursor. */
  beginWith: string;
}

/** Nothing longer is taken off: the model would have to spell out what may be a key or a hash. */
const longestHealed = 48;

const lastRun = /(?:[\p{L}\p{N}\p{M}_$]+|[^\p{L}\p{N}\p{M}_$\s]+|[^\S\r\n]+)$/u;

export function healPrefix(prefix: string): HealedPrefix {
  const run = lastRun.exec(prefix.slice(-longestHealed - 1))?.[0] ?? "";
  const beginWith = run.length > longestHealed ? "" : run;
  return { head: prefix.slice(0, prefix.length - beginWith.length), beginWith };
}
