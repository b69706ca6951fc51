import type { Suggestion } from "../engine/completion/suggestion";
import type { CompletionParams, CompletionResult } from "../shared/completion";

/** What a suggestion depends on. */
export type SuggestionQuery = Omit<CompletionParams, "progressToken">;

/** Suggestions already computed, found again while the user types through them. */
export interface SuggestionMemory {
  /** What is left of a known suggestion at this place; undefined when none is known. */
  find(query: SuggestionQuery): Suggestion | undefined;
  add(query: SuggestionQuery, suggestion: Suggestion): void;
}

/** One request to the engine; settles soon after `signal` aborts. */
export type Complete = (
  query: SuggestionQuery,
  signal: AbortSignal,
  onText: (text: string) => void,
) => Promise<CompletionResult>;

/** Waits for a pause in typing; false as soon as the signal aborts. */
export type Pause = (signal: AbortSignal) => Promise<boolean>;

/** A request under way. */
class Flight {
  /** Callers that still wait for it. */
  waiting = 0;
  /** What has been generated so far. */
  text = "";
  /** What was typed since it started. */
  typed = "";
  readonly controller = new AbortController();
  readonly result: Promise<CompletionResult>;
  /** It has written something: all of its prompt is computed. */
  readonly begun: Promise<void>;

  constructor(
    readonly query: SuggestionQuery,
    complete: Complete,
    onDisagreement: () => void,
  ) {
    let begin: () => void = () => undefined;
    this.begun = new Promise((resolve) => (begin = resolve));
    this.result = complete(query, this.controller.signal, (text) => {
      this.text += text;
      begin();
      if (!agrees(this.text, this.typed)) onDisagreement();
    });
  }
}

/** Milliseconds that a request nobody waits for lives on: the next keystroke may agree with it. */
const grace = 60;

/**
 * Where ghost text comes from: what is known already, else the request under way when the typed text agrees with what it has
 * written so far, else a new request, which ends the one before. At most one request is under way.
 */
export class SuggestionSource {
  private flight: Flight | undefined;

  constructor(
    private readonly memory: SuggestionMemory,
    private readonly complete: Complete,
  ) {}

  /**
   * What may be shown at the cursor, with empty text for nothing. Resolves with that as soon as `signal` aborts.
   *
   * @param pause waited for before the engine is asked; none for a suggestion that the user asked for.
   * @throws EngineError when the engine fails.
   */
  async suggest(query: SuggestionQuery, pause: Pause | undefined, signal: AbortSignal): Promise<Suggestion> {
    const known = this.memory.find(query);
    if (known !== undefined) return known;

    const running = this.runningFor(query);
    // What it will say to the text typed since nobody knows yet. It goes on computing the prompt, most of which is that for the
    // text that is there now, too, and which would have to be begun anew in the middle. When it has begun to write, and in a
    // pause, the engine is asked for what is there now, unless what it writes agrees.
    const paused = running && isSilent(running) ? pause?.(signal) : undefined;
    if (running) {
      const ended = this.join(running, signal);
      ended.catch(() => undefined);
      await (paused ? Promise.race([ended, Promise.all([paused, running.begun])]) : ended);
      if (!isSilent(running)) await ended;
      if (signal.aborted) return nothing;
      const remembered = this.memory.find(query);
      if (remembered !== undefined) return remembered;
    }

    if (pause && !(await (paused ?? pause(signal)))) return nothing;
    if (this.flight) this.supersede(this.flight);
    const flight = this.start(query);
    const result = await this.join(flight, signal);
    return signal.aborted || !result ? nothing : suggestionOf(result);
  }

  /** Ends the request under way. */
  cancel(): void {
    this.flight?.controller.abort();
    this.flight = undefined;
  }

  /** The request under way if it may turn out to be one for this place; ends it otherwise. */
  private runningFor(query: SuggestionQuery): Flight | undefined {
    const { flight } = this;
    if (!flight) return undefined;
    const typed = typedSince(flight.query, query);
    if (typed !== undefined && agrees(flight.text, typed)) {
      flight.typed = typed;
      return flight;
    }
    this.supersede(flight);
    return undefined;
  }

  private start(query: SuggestionQuery): Flight {
    const flight = new Flight(query, this.complete, () => {
      this.supersede(flight);
    });
    this.flight = flight;
    flight.result.then(
      (result) => {
        this.landed(flight);
        if (result.finish === "cancelled") return;
        this.memory.add(query, suggestionOf(result));
      },
      () => {
        this.landed(flight);
      },
    );
    return flight;
  }

  private landed(flight: Flight): void {
    if (this.flight === flight) this.flight = undefined;
  }

  private supersede(flight: Flight): void {
    if (flight.controller.signal.aborted) return;
    flight.controller.abort();
    this.landed(flight);
  }

  /** Waits for the flight or the signal. A flight that nobody waits for ends after the grace. */
  private async join(flight: Flight, signal: AbortSignal): Promise<CompletionResult | undefined> {
    flight.waiting++;
    const left = new Promise<undefined>((resolve) => {
      signal.addEventListener(
        "abort",
        () => {
          resolve(undefined);
        },
        { once: true },
      );
    });
    try {
      return await Promise.race([flight.result, left]);
    } finally {
      flight.waiting--;
      if (flight.waiting === 0 && this.flight === flight) {
        setTimeout(() => {
          if (flight.waiting === 0 && this.flight === flight) this.supersede(flight);
        }, grace);
      }
    }
  }
}

const nothing: Suggestion = { text: "", confidence: null };

export function suggestionOf({ text, confidence }: CompletionResult): Suggestion {
  return { text, confidence };
}

/** What was typed between two queries; undefined when more than the text before the cursor has changed. */
function typedSince(before: SuggestionQuery, now: SuggestionQuery): string | undefined {
  const samePlace =
    before.path === now.path &&
    before.languageId === now.languageId &&
    before.lines === now.lines &&
    before.model === now.model &&
    before.maxTokens === now.maxTokens &&
    before.suffix === now.suffix &&
    now.prefix.startsWith(before.prefix);
  return samePlace ? now.prefix.slice(before.prefix.length) : undefined;
}

/** Whether it has yet to say anything of the text that was typed since. */
function isSilent({ text, typed }: Flight): boolean {
  return text === "" && typed !== "";
}

/** Whether the typed text can still turn out to be the beginning of the suggestion. */
function agrees(generated: string, typed: string): boolean {
  return generated.startsWith(typed) || typed.startsWith(generated);
}
