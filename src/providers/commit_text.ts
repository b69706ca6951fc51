/** What small models wrap a message in though asked for the message alone. */
const fence = /^\s*```[^\n]*\n|\n?```\s*$/g;
const introduction = /^(?:here(?:'s| is)[^\n]*:|commit message:|subject:)[ \t]*\n*/i;

/** The message in a model's answer, also in an answer that is still being written. */
export function cleanCommitMessage(answer: string): string {
  const text = answer.replaceAll("\r\n", "\n").trimStart().replace(introduction, "").replaceAll(fence, "").trim();
  const quoted = /^(["'`])([^\n]*)\1$/.exec(text);
  return quoted?.[2] ?? text;
}
