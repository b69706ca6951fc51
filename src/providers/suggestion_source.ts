import type { CompletionParams, CompletionResult } from "../shared/protocol";

/** What a suggestion depends on. */
export type SuggestionQuery = Omit<CompletionParams, "progressToken">;

/** Suggestions already computed, found again while the user types through them. */
export interface SuggestionMemory {
  /** What is left of a known suggestion at this place; undefined when none is known. */
  find(query: SuggestionQuery): string | undefined;
  add(query: SuggestionQuery, text: string): void;
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

  constructor(
    readonly query: SuggestionQuery,
    complete: Complete,
    onDisagreement: () => void,
  ) {
    this.result = complete(query, this.controller.signal, (text) => {
      this.text += text;
      if (!agrees(this.text, this.typed)) onDisagreement();
    });
  }
}

/** Milliseconds that a request nobody waits for lives on: the next keystroke may agree with it. */
const grace = 60;

/**
 * Where ghost text comes from: what is known already, else the request under way when the typed text agrees with it,
 * else a new request, which ends the one before. At most one request is under way.
 */
export class SuggestionSource {
  private flight: Flight | undefined;

  constructor(
    private readonly memory: SuggestionMemory,
    private readonly complete: Complete,
  ) {}

  /**
   * The text to show at the cursor, empty for none. Resolves with the empty text as soon as `signal` aborts.
   *
   * @param pause waited for before the engine is asked; none for a suggestion that the user asked for.
   * @throws EngineError when the engine fails.
   */
  async suggest(query: SuggestionQuery, pause: Pause | undefined, signal: AbortSignal): Promise<string> {
    const known = this.memory.find(query);
    if (known !== undefined) return known;

    const running = this.flight;
    if (running) {
      const typed = typedSince(running.query, query);
      if (typed !== undefined && agrees(running.text, typed)) {
        running.typed = typed;
        await this.join(running, signal);
        if (signal.aborted) return "";
        const remembered = this.memory.find(query);
        if (remembered !== undefined) return remembered;
      } else {
        this.supersede(running);
      }
    }

    if (pause && !(await pause(signal))) return "";
    if (this.flight) this.supersede(this.flight);
    const flight = this.start(query);
    const result = await this.join(flight, signal);
    return signal.aborted ? "" : (result?.text ?? "");
  }

  /** Ends the request under way. */
  cancel(): void {
    this.flight?.controller.abort();
    this.flight = undefined;
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
        this.memory.add(query, result.text);
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

/** What was typed between two queries; undefined when more than the text before the cursor has changed. */
function typedSince(before: SuggestionQuery, now: SuggestionQuery): string | undefined {
  const samePlace =
    before.path === now.path &&
    before.languageId === now.languageId &&
    before.lines === now.lines &&
    before.suffix === now.suffix &&
    now.prefix.startsWith(before.prefix);
  return samePlace ? now.prefix.slice(before.prefix.length) : undefined;
}

/** Whether the typed text can still turn out to be the beginning of the suggestion. */
function agrees(generated: string, typed: string): boolean {
  return generated.startsWith(typed) || typed.startsWith(generated);
}
