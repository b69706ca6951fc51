import { AcceptRate } from "../engine/completion/accept_rate";
import { RejectedSuggestions } from "../engine/completion/rejected_suggestions";
import { mayReplace, type Replaceable } from "../engine/completion/replacement";
import { fateOf, hasFirstLine, type Fate, type ShownSuggestion } from "../engine/completion/shown_suggestion";
import { SuggestionCache } from "../engine/completion/suggestion_cache";
import { featuresOf, fittedModel, probabilityOf } from "../engine/completion/suggestion_score";
import type { Clock } from "../engine/editor_loop/clock";
import type { CompletionResult } from "../shared/completion";
import { suggestionOf, SuggestionSource, type Complete, type Pause, type SuggestionQuery } from "./suggestion_source";

export interface GhostTextOptions {
  clock: Pick<Clock, "now">;
  complete: Complete;
  /** Computes a suggestion that nobody asked for; null where that is not allowed now. */
  completeAhead: (query: SuggestionQuery, signal: AbortSignal) => Promise<CompletionResult | null>;
  /** What a better model suggests in place of a suggestion; null where that is not to be had now. Without it, never. */
  check?: (query: SuggestionQuery, suggestion: string, signal: AbortSignal) => Promise<CompletionResult | null>;
}

/** How a suggestion comes about that the user has not asked for. */
export interface Unasked {
  /** Waited for before the engine is asked. */
  pause: Pause;
  /** Of being right; what is less probable is not shown. From 0 to 1. */
  leastProbability: number;
}

export interface GhostTextAnswer {
  /** To be shown at the cursor; empty: nothing. */
  text: string;
  /** Why what there is, is not shown. */
  withheld?: "rejected" | "unlikely";
}

/** Milliseconds until ghost text is seen. */
const glance = 200;

interface Shown {
  query: SuggestionQuery;
  text: string;
  /** When it came, in milliseconds of the clock. */
  since: number;
  /** Of being right, when it came; undefined: unknown. */
  probability: number | undefined;
  /** Whether its first line was accepted: what became of the others says nothing of that. */
  isTaken: boolean;
  /** As of `Replaceable`. */
  isBegun: boolean;
  isChecked: boolean;
}

/**
 * The ghost text of one window: where it comes from, what became of it, and what comes after it. It is told of the editor by
 * queries alone and knows nothing of VS Code.
 */
export class GhostText {
  private cache = new SuggestionCache();
  private readonly rejected = new RejectedSuggestions();
  private readonly source: SuggestionSource;
  private readonly acceptRate = new AcceptRate();
  private shown: Shown | undefined;

  constructor(private readonly options: GhostTextOptions) {
    this.source = new SuggestionSource(
      {
        find: ({ path, prefix, suffix }) => this.cache.find(path, prefix, suffix),
        add: ({ path, prefix, suffix }, suggestion) => {
          this.cache.add(path, prefix, suffix, suggestion);
        },
      },
      options.complete,
    );
  }

  /**
   * What to show at the cursor. Resolves with nothing as soon as `signal` aborts.
   *
   * @param unasked undefined for a suggestion that the user asked for: nothing is waited for, and nothing withheld.
   * @throws EngineError when the engine fails.
   */
  async suggest(query: SuggestionQuery, unasked: Unasked | undefined, signal: AbortSignal): Promise<GhostTextAnswer> {
    const open = this.follow(query);
    const suggestion = await this.source.suggest(query, unasked?.pause, signal);
    const { text } = suggestion;
    if (signal.aborted || text === "") return { text: "" };
    const values = featuresOf(suggestion);
    const probability = values && probabilityOf(fittedModel, values);
    if (unasked) {
      if (this.rejected.has(shownOf(query, text))) return { text: "", withheld: "rejected" };
      const isUnlikely = probability !== undefined && this.acceptRate.adjusted(probability) < unasked.leastProbability;
      if (isUnlikely && !open) return { text: "", withheld: "unlikely" };
    }
    const { isChecked = false } = suggestion;
    // What a check has made of it is another one, which came now.
    const before = open && isChecked && !open.isChecked ? undefined : open;
    this.shown = {
      query,
      text,
      since: before?.since ?? this.options.clock.now(),
      probability: before ? before.probability : probability,
      isTaken: before?.isTaken ?? false,
      isBegun: before !== undefined && (before.isBegun || before.query.prefix !== query.prefix),
      isChecked,
    };
    return { text };
  }

  /**
   * Has a better model check the text on the screen, once. Null: it stays as it is. Else what is to be shown instead, which
   * `suggest` says from now on; empty: nothing.
   *
   * @param now the place at the end of the check; undefined where the document has changed by then.
   * @throws EngineError when the engine fails.
   */
  async check(
    place: SuggestionQuery,
    now: () => SuggestionQuery | undefined,
    signal: AbortSignal,
  ): Promise<string | null> {
    const shown = this.follow(place);
    if (!shown || !mayReplace(replaceable(shown), place)) return null;
    const { cache } = this;
    const result = await this.options.check?.(place, shown.text, signal);
    if (!result || result.finish === "cancelled" || signal.aborted) return null;
    if (this.shown !== shown || this.cache !== cache || !mayReplace(replaceable(shown), now())) return null;
    const { path, prefix, suffix } = place;
    const { text } = result;
    if (text === shown.text || this.rejected.has(shownOf(place, text))) {
      shown.isChecked = true;
      const known = cache.find(path, prefix, suffix);
      if (known) cache.add(path, prefix, suffix, { ...known, isChecked: true });
      return null;
    }
    cache.add(path, prefix, suffix, { ...suggestionOf(result), isChecked: true });
    // Nothing is to be shown, and the user has decided nothing about what was.
    if (text === "") this.shown = undefined;
    return text;
  }

  /** The user does not want what is shown at this place. */
  reject(query: SuggestionQuery): void {
    this.follow(query);
    this.end("rejected");
  }

  /**
   * Computes what would be suggested after the text on the screen was accepted: at its end, and where nothing comes there, on
   * the next line; and on the next line where the one at this place is known to be complete. Nothing as long as computing ahead
   * is not allowed.
   */
  async foresee(place: SuggestionQuery, signal: AbortSignal): Promise<void> {
    this.follow(place);
    const { cache, shown } = this;
    const isComplete = !shown && cache.find(place.path, place.prefix, place.suffix)?.text === "";
    if (!shown && !isComplete) return;
    for (const query of placesAfter(shown ?? { query: place, text: "" })) {
      const { path, prefix, suffix } = query;
      let next = cache.find(path, prefix, suffix);
      if (next === undefined) {
        const result = await this.options.completeAhead(query, signal);
        if (!result || result.finish === "cancelled") return;
        next = suggestionOf(result);
        cache.add(path, prefix, suffix, next);
      }
      if (next.text !== "") return;
    }
  }

  /** Ends the request under way. */
  cancel(): void {
    this.source.cancel();
  }

  /** Whether text of it may be on the screen. */
  get isShown(): boolean {
    return this.shown !== undefined;
  }

  /** Another model or length would suggest something else. */
  forget(): void {
    this.source.cancel();
    this.cache = new SuggestionCache();
    this.shown = undefined;
  }

  /** What is on the screen, unless it is over with it. */
  private follow(query: SuggestionQuery): Shown | undefined {
    if (!this.shown) return undefined;
    const shown = shownOf(this.shown.query, this.shown.text);
    const fate = fateOf(shown, query);
    this.shown.isTaken ||= hasFirstLine(shown, query);
    if (fate === "open") return this.shown;
    // Who is elsewhere now, such as at another item of the completion list, has decided nothing, and who typed before it can
    // have been seen has not either.
    const isSeen = this.options.clock.now() - this.shown.since >= glance;
    if (fate === "accepted" || this.shown.isTaken || (isSeen && fate === "rejected")) this.end(fate);
    else this.shown = undefined;
    return undefined;
  }

  /** What was seen has this end. */
  private end(fate: Exclude<Fate, "open">): void {
    if (!this.shown) return;
    const { query, text, probability, isTaken } = this.shown;
    this.shown = undefined;
    if (fate === "rejected") this.rejected.add(shownOf(query, text));
    if (probability !== undefined) this.acceptRate.record(probability, isTaken || fate === "accepted");
  }
}

function replaceable({ query, text, isBegun, isChecked }: Shown): Replaceable {
  return { ...shownOf(query, text), isBegun, isChecked };
}

function shownOf({ path, prefix, suffix }: SuggestionQuery, text: string): ShownSuggestion {
  return { path, prefix, suffix, text };
}

/** Where the cursor may be after a suggestion was accepted. */
function placesAfter({ query, text }: { query: SuggestionQuery; text: string }): SuggestionQuery[] {
  const prefix = query.prefix + text;
  const accepted = { ...query, prefix };
  const restOfLine = query.suffix.split("\n", 1)[0] ?? "";
  if (restOfLine.trim() !== "") return [accepted];
  const line = prefix.slice(prefix.lastIndexOf("\n") + 1);
  const indent = /^[^\S\n]*/.exec(line)?.[0] ?? "";
  return [accepted, { ...query, prefix: `${prefix}\n${indent}` }];
}
