import type { ReplayedDocument, Suggester } from "../replay/replay";
import type { Infill, LlamaServer } from "./llama_server";

const prefixLines = 256;
const suffixLines = 64;
const pollMs = 150;
const longestLineSuffix = 8;
const rememberedCompletions = 250;

/**
 * What llama.vscode does between the editor and llama-server, as far as it decides what is asked and when (2026-08): one
 * request at a time; one that comes meanwhile waits, looking every 150 ms, unless the user has typed on; none is called
 * off. Completions are remembered, and found again while the rest of the line is typed as they say. After a suggestion the
 * next one, for the place behind it, is asked for, too.
 */
export class LlamaVscode implements Suggester {
  readonly silence = undefined;
  computedTokens = 0;
  requests = 0;
  private isBusy = false;
  private calls = 0;
  private ahead: Promise<void> = Promise.resolve();
  private readonly known = new Map<string, string>();

  constructor(
    private readonly server: LlamaServer,
    private readonly show: (text: string) => void,
  ) {}

  edited(document: ReplayedDocument): void {
    void this.suggest(document, ++this.calls);
  }

  moved(): void {
    this.calls += 1;
  }

  async stop(): Promise<void> {
    this.calls += 1;
    while (this.isBusy) await sleep(pollMs);
    await this.ahead;
  }

  private async suggest(document: ReplayedDocument, call: number): Promise<void> {
    while (this.isBusy) {
      await sleep(pollMs);
      if (call !== this.calls) return;
    }
    this.isBusy = true;
    try {
      const place = placeOf(document);
      const lineSuffix = place.input_suffix.slice(0, place.input_suffix.indexOf("\n"));
      if (lineSuffix.length > longestLineSuffix) return;
      const completion = this.find(place) ?? (await this.ask(place));
      if (completion.trim() === "" || isRepetition(completion, place, lineSuffix)) return;
      const text = shortened(completion, lineSuffix);
      if (call !== this.calls) return;
      this.show(withoutIndent(text, document));
      if (lineSuffix.trim() === "") this.ahead = this.askAhead(place, text);
    } finally {
      this.isBusy = false;
    }
  }

  private async ask(place: Infill): Promise<string> {
    this.requests += 1;
    const { content, computedTokens } = await this.server.infill(place);
    this.computedTokens += computedTokens;
    const completion = content.replace(/(\r?\n)+$/, "");
    this.remember(place, completion);
    return completion;
  }

  private async askAhead(place: Infill, text: string): Promise<void> {
    const lines = text.split("\n");
    const last = lines.pop() ?? "";
    const after: Infill =
      lines.length === 0
        ? { ...place, prompt: place.prompt + last }
        : { ...place, input_prefix: `${place.input_prefix}${place.prompt}${lines.join("\n")}\n`, prompt: last };
    if (!this.known.has(keyOf(after))) await this.ask(after);
  }

  /** Remembered for this place, or for one earlier in the line with what was typed since. */
  private find(place: Infill): string | undefined {
    for (let length = place.prompt.length; length >= 0; length--) {
      const completion = this.known.get(keyOf({ ...place, prompt: place.prompt.slice(0, length) }));
      const typed = place.prompt.slice(length);
      if (completion?.startsWith(typed)) return completion.slice(typed.length);
    }
    return undefined;
  }

  private remember(place: Infill, completion: string): void {
    this.known.set(keyOf(place), completion);
    const oldest = this.known.keys().next().value;
    if (this.known.size > rememberedCompletions && oldest !== undefined) this.known.delete(oldest);
  }
}

export function placeOf({ text, cursor }: ReplayedDocument): Infill {
  const before = text.slice(0, cursor).split("\n");
  const [rest = "", ...after] = text.slice(cursor).split("\n");
  const line = before.pop() ?? "";
  return {
    input_prefix: `${before.slice(-prefixLines).join("\n")}\n`,
    input_suffix: `${rest}\n${after.slice(0, suffixLines).join("\n")}\n`,
    prompt: /^[ \t]*$/.test(line) ? "" : line,
    n_indent: /^\s*/.exec(line + rest)?.[0].length ?? 0,
  };
}

/** A line of blanks alone is not part of the prompt: what is suggested begins with them, and they are there already. */
export function withoutIndent(completion: string, { text, cursor }: ReplayedDocument): string {
  const line = text.slice(text.lastIndexOf("\n", cursor - 1) + 1, cursor);
  if (line.trim() !== "") return completion;
  let indent = 0;
  while (indent < line.length && /[ \t]/.test(completion.charAt(indent))) indent += 1;
  return completion.slice(indent);
}

function isRepetition(completion: string, { prompt, input_suffix }: Infill, lineSuffix: string): boolean {
  const first = completion.split("\n")[0] ?? "";
  const below = input_suffix
    .split("\n")
    .slice(1)
    .find((line) => line.trim() !== "");
  return completion === lineSuffix || (completion === first && prompt + first === below);
}

/** Text behind the cursor in its line is not suggested again. */
function shortened(completion: string, lineSuffix: string): string {
  const first = completion.split("\n")[0] ?? "";
  if (lineSuffix.trim() === "") return completion;
  return first.endsWith(lineSuffix) ? first.slice(0, -lineSuffix.length) : first;
}

function keyOf({ input_prefix, input_suffix, prompt }: Infill): string {
  return `${input_prefix}\0${input_suffix}\0${prompt}`;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
