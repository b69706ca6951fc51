import type { ChatMessage } from "../../shared/chat";
import { codeBlock } from "../../shared/code_block";

/** Code a command is about. */
export interface CodeExcerpt {
  path: string;
  languageId: string;
  code: string;
}

const rewriting =
  "You are a careful programmer. You get a piece of code and one task. Answer with the whole piece of code after the change, in one fenced code block, and nothing else. Keep what the task does not mention, the indentation included.";

const commitRules =
  "You write Git commit messages. Answer with the message alone: a summary line of at most 72 characters in the imperative, and, only if it says more than the summary, an empty line and a short body.";

/**
 * Characters of a diff that a prompt takes: about a third of the smallest context offered. Small models lose the thread in
 * longer ones anyway.
 */
export const longestDiff = 8000;

/** Question for the chat: what does this code do? */
export function explainPrompt(excerpt: CodeExcerpt): string {
  return `${aboutCode(excerpt)}Explain what this code from ${excerpt.path} does, how it works, and anything surprising about it.`;
}

/** Question for the chat: tests for this code. */
export function testsPrompt(excerpt: CodeExcerpt): string {
  return `${aboutCode(excerpt)}Write unit tests for this code from ${excerpt.path}. Use the test framework usual for ${excerpt.languageId}, cover the ordinary cases, the edges and the errors, and answer with one code block.`;
}

/** How every question for the chat about this code begins: it is computed while the user still chooses the question. */
export function aboutCode(excerpt: CodeExcerpt): string {
  return `${fenced(excerpt)}\n\n`;
}

/** How every request to rewrite this code begins. */
export function rewritingBegin(excerpt: CodeExcerpt): ChatMessage[] {
  return rewrite(excerpt, "");
}

/** Rewrites the code as the user says. */
export function editPrompt(excerpt: CodeExcerpt, instruction: string): ChatMessage[] {
  return rewrite(excerpt, instruction);
}

/** Rewrites the code so that the reported problems go away. */
export function fixPrompt(excerpt: CodeExcerpt, problems: readonly string[]): ChatMessage[] {
  const listed = problems.map((problem) => `- ${problem}`).join("\n");
  return rewrite(
    excerpt,
    problems.length > 0 ? `Fix these problems:\n${listed}` : "Find the mistakes in this code and fix them.",
  );
}

/** Adds documentation comments and changes nothing else. */
export function documentPrompt(excerpt: CodeExcerpt): ChatMessage[] {
  return rewrite(
    excerpt,
    `Add documentation comments in the style usual for ${excerpt.languageId} to what this code declares. Change nothing else.`,
  );
}

/**
 * A commit message for changes, given as a unified diff; `isShortened` when something of it was left out already. What is
 * too long all the same, because a great many files are named, is cut.
 */
export function commitMessagePrompt(diff: string, isShortened = false): ChatMessage[] {
  const cut = diff.length > longestDiff;
  const lastLineEnd = diff.lastIndexOf("\n", longestDiff);
  const shown = cut ? diff.slice(0, lastLineEnd > 0 ? lastLineEnd : longestDiff) : diff;
  return [
    { role: "system", content: commitRules },
    {
      role: "user",
      content: `Write the commit message for these changes${cut || isShortened ? " (parts of a longer diff)" : ""}:\n\n${codeBlock(shown, "diff")}`,
    },
  ];
}

/**
 * The code in an answer: the first fenced block, also while it is still being written, or the whole answer when it has
 * no fence. Blank lines around it go, indentation stays.
 */
export function extractCode(answer: string): string {
  const open = /^[^\S\n]*(`{3,}|~{3,})[^\n]*\n/m.exec(answer);
  // A single line may be the beginning of the opening fence; `~mask` and template strings are code.
  if (!open) return /^\s*(?:`{1,2}|~{1,2}|(?:`{3}|~{3})[^\n]*)$/.test(answer) ? "" : trimBlankLines(answer);
  const body = answer.slice(open.index + open[0].length);
  const fence = open[1] ?? "```";
  const lines = body.split("\n");
  const close = lines.findIndex((line) => line.trim().startsWith(fence));
  if (close >= 0) return trimBlankLines(lines.slice(0, close).join("\n"));
  // The last line may be the beginning of the closing fence.
  const unfinished = /^\s*[`~]+\s*$/.test(lines.at(-1) ?? "") ? lines.slice(0, -1) : lines;
  return trimBlankLines(unfinished.join("\n"));
}

function rewrite(excerpt: CodeExcerpt, task: string): ChatMessage[] {
  return [
    { role: "system", content: rewriting },
    { role: "user", content: `${aboutCode(excerpt)}Task: ${task}` },
  ];
}

function fenced({ code, languageId }: CodeExcerpt): string {
  return codeBlock(code, languageId);
}

function trimBlankLines(text: string): string {
  return text.replace(/^(?:[^\S\n]*\n)+/, "").trimEnd();
}
