import { EngineError } from "../../shared/errors";
import type { Extract } from "../../shared/protocol";
import type { NativeModelInfo, PromptPart } from "../native/addon";
import { healPrefix } from "./token_healing";

export interface FimInput {
  path: string;
  prefix: string;
  suffix: string;
  extracts: readonly Extract[];
}

/** Characters of each part; about three of them make a token of code. */
export interface FimBudget {
  prefix: number;
  suffix: number;
  extracts: number;
}

export interface FimPrompt {
  parts: PromptPart[];
  /** Token healing: what the generation has to begin with. */
  beginWith: string;
}

/** What a processor without a card computes in a few seconds for the first suggestion in a file. */
export const usualBudget: FimBudget = { prefix: 4000, suffix: 1200, extracts: 2000 };

/** The beginning of a long prefix moves by so many lines at once, so that between two moves typing only appends. */
const anchorStep = 32;

/**
 * The prompt for the text at a cursor. The prefix slot stays empty and the text before the cursor stands behind the
 * middle token, at the very end: a typed character then appends to the prompt instead of moving the suffix, and the
 * KV cache of all the rest stays valid. Measured on Qwen2.5-Coder 0.5B together with token healing this also doubles
 * the exact matches of the usual layout.
 */
export function fimPrompt(info: NativeModelInfo, input: FimInput, budget: FimBudget): FimPrompt {
  const { fimPrefix, fimSuffix, fimMiddle, fimRepository, fimSeparator } = info.specialTokens;
  if (!fimPrefix || !fimSuffix || !fimMiddle) {
    throw new EngineError(
      "MODEL_UNSUPPORTED",
      `${info.description} was not trained to fill in the middle of a text. Choose a code model such as Qwen2.5-Coder for completions.`,
    );
  }
  const separator = fimSeparator ?? fimRepository;
  const { head, beginWith } = healPrefix(lastLines(input.prefix, budget.prefix));
  return {
    beginWith,
    parts: [
      ...extractParts(input, budget.extracts, separator),
      special(fimPrefix),
      special(fimSuffix),
      plain(firstLines(input.suffix, budget.suffix)),
      special(fimMiddle),
      plain(head),
    ].filter(({ text }) => text !== ""),
  };
}

/** Other files in front, as repository-level training data has them; as comments where the model knows no separator. */
function extractParts({ extracts, path }: FimInput, budget: number, separator: string | null): PromptPart[] {
  const parts: PromptPart[] = [];
  let left = budget;
  for (const extract of extracts) {
    const text = firstLines(extract.text, left);
    if (text.trim() === "") continue;
    left -= text.length;
    if (separator) parts.push(special(separator), plain(`${extract.path}\n${text}\n`));
    else parts.push(plain(`// ${extract.path}\n${text}\n`));
  }
  if (parts.length > 0 && separator) parts.push(special(separator), plain(`${path}\n`));
  return parts;
}

/** The last whole lines of a text within a budget, beginning at a line whose number is a multiple of the step. */
export function lastLines(text: string, budget: number): string {
  if (text.length <= budget) return text;
  let start = 0;
  let line = 0;
  let best = text.lastIndexOf("\n") + 1;
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
    start = end + 1;
    line += 1;
    if (line % anchorStep === 0 && text.length - start <= budget) return text.slice(start);
    if (text.length - start <= budget) best = Math.min(best, start);
  }
  // Lines longer than the budget are cut where they are.
  return text.slice(Math.max(best, text.length - budget));
}

/** The first whole lines of a text within a budget; at least the first one, cut. */
export function firstLines(text: string, budget: number): string {
  if (text.length <= budget) return text;
  const end = text.lastIndexOf("\n", budget - 1);
  return text.slice(0, end >= 0 ? end + 1 : Math.max(0, budget));
}

function special(text: string): PromptPart {
  return { text, special: true };
}

function plain(text: string): PromptPart {
  return { text, special: false };
}
