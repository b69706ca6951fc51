import type { Extract } from "../../shared/completion";
import type { NativeModelInfo, PromptPart } from "../native/addon";
import type { FimFormat } from "./fim_format";
import { healPrefix } from "./token_healing";

export interface FimInput {
  /** Name of the project. */
  repository?: string;
  path: string;
  prefix: string;
  suffix: string;
  extracts: readonly Extract[];
}

/** Characters of each part; a token of code has three to four of them, one of Chinese about one. */
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

/** The beginning of a long prefix moves by so many lines at once: by fewer only where lines are very long. */
const anchorSteps = [32, 8, 1];

/** How many steps ago a beginning may still be in use. */
const earlierAnchors = [1, 2];

/** Times the budget that the text from there may take. */
const longestKept = 1.5;

/**
 * The prompt for the text at a cursor. The text before the cursor stands at the very end: a typed character then appends to
 * the prompt instead of moving the suffix, and the KV cache of all the rest stays valid. Measured on Qwen2.5-Coder 0.5B
 * together with token healing this also doubles the exact matches of the usual layout; the 1.5B has as many with either
 * (31 lines of 50, `npm run bench -- completion-1.5b`). A model that was not trained to fill in goes on
 * from the text before the cursor and knows nothing of what is behind it.
 */
export function fimPrompt(
  info: NativeModelInfo,
  format: FimFormat | null,
  input: FimInput,
  budget: FimBudget,
): FimPrompt {
  const { fimRepository, fimSeparator } = info.specialTokens;
  const { head, beginWith } = healPrefix(lastLines(input.prefix, budget.prefix));
  const files = fileParts(input, budget.extracts, { named: fimRepository, separator: format && fimSeparator });
  const suffix = plain(firstLines(withoutClosers(input.suffix), budget.suffix));
  const around = format ? [...format.beforeSuffix.map(special), suffix, ...format.beforePrefix.map(special)] : [];
  const parts = [...files, ...around, plain(head)].filter(({ text }) => text !== "");
  // At the start of a file the prompt may have nothing else, and no model answers an empty one.
  if (parts.length === 0 && !info.addsBos) return unhealed(beginWith);
  return { beginWith, parts };
}

function unhealed(text: string): FimPrompt {
  return { beginWith: "", parts: text === "" ? [] : [plain(text)] };
}

/** The rest of the cursor's line where it only closes something, and the lines below that do. */
const closersBehind = /^[)\]}"'`]*[^\S\n]*[;,]*[^\S\n]*(?=\n|$)(?:\n[^\S\n]*[)\]}]+[;,]*[^\S\n]*(?=\n|$))*/;

/**
 * Closers behind the cursor come and go with every bracket typed and move a line down with Enter, and each time the
 * whole prompt behind them would be computed again. The prompt leaves them out; the suggestion is cut at them.
 */
function withoutClosers(suffix: string): string {
  return suffix.replace(closersBehind, "");
}

/**
 * Other files in front, laid out as in repository-level training data: a name of the repository, then path and text of
 * each file, the one being edited last: in a file of few lines its path says the most. As comments where the model
 * knows no separator.
 */
function fileParts(
  { repository = "workspace", extracts, path }: FimInput,
  budget: number,
  { named, separator }: { named: string | null; separator: string | null },
): PromptPart[] {
  const parts: PromptPart[] = [];
  let left = budget;
  // The last ones matter most; what is left of the budget goes to those before them.
  for (const extract of extracts.toReversed()) {
    const text = firstLines(extract.text, left);
    if (text.trim() === "") continue;
    left -= text.length;
    if (separator) parts.unshift(special(separator), plain(`${extract.path}\n${text}\n`));
    else parts.unshift(plain(`// ${extract.path}\n${text}\n`));
  }
  if (!separator) return parts;
  const name = named && parts.length > 0 ? [special(named), plain(`${repository}\n`)] : [];
  return [...name, ...parts, special(separator), plain(`${path}\n`)];
}

/**
 * The last whole lines of a text within a budget. They begin at a line whose number is a multiple of a large step where
 * that leaves any, so that the beginning stays where it is for many lines.
 */
export function lastLines(text: string, budget: number): string {
  if (text.length <= budget) return text;
  const anchor = anchorOf(text, budget);
  if (anchor) return text.slice(anchor.starts[anchor.line]);
  // A line longer than the budget is cut, in large steps too and not within a character.
  const step = Math.max(1, Math.floor(budget / 4));
  const at = Math.ceil((text.length - budget) / step) * step;
  return text.slice(/[\uDC00-\uDFFF]/.test(text.charAt(at)) ? at + 1 : at);
}

/**
 * What `lastLines` said before its beginning moved, the latest first, going on to the end of the text: as far as that is
 * not much more than the budget.
 */
export function earlierLines(text: string, budget: number): string[] {
  const anchor = text.length > budget ? anchorOf(text, budget) : undefined;
  if (!anchor) return [];
  const { starts, line, step } = anchor;
  return earlierAnchors
    .map((steps) => starts[line - steps * step])
    .filter((start) => start !== undefined && text.length - start <= budget * longestKept)
    .map((start) => text.slice(start));
}

/** Where the last lines within a budget begin; undefined: none fits. */
function anchorOf(text: string, budget: number): { starts: number[]; line: number; step: number } | undefined {
  const starts = [0, ...Array.from(text.matchAll(/\n/g), ({ index }) => index + 1)];
  for (const step of anchorSteps) {
    const line = starts.findIndex((at, index) => index % step === 0 && text.length - at <= budget);
    if (line >= 0 && (starts[line] ?? 0) < text.length) return { starts, line, step };
  }
  return undefined;
}

/** The first whole lines of a text within a budget; at least the first one, cut. */
export function firstLines(text: string, budget: number): string {
  if (text.length <= budget) return text;
  const end = text.lastIndexOf("\n", budget - 1);
  return text.slice(0, end > 0 ? end + 1 : Math.max(0, budget));
}

function special(text: string): PromptPart {
  return { text, special: true };
}

function plain(text: string): PromptPart {
  return { text, special: false };
}
