import { RejectedSuggestions } from "../engine/completion/rejected_suggestions";
import { fateOf, type ShownSuggestion } from "../engine/completion/shown_suggestion";
import { SuggestionCache } from "../engine/completion/suggestion_cache";
import type { Clock } from "../engine/editor_loop/clock";
import type { CompletionResult } from "../shared/protocol";
import { suggestionOf, SuggestionSource, type Complete, type Pause, type SuggestionQuery } from "./suggestion_source";

export interface GhostTextOptions {
  clock: Pick<Clock, "now">;
  complete: Complete;
  /** Computes a suggestion that nobody asked for; null where that is not allowed now. */
  completeAhead: (query: SuggestionQuery, signal: AbortSignal) => Promise<CompletionResult | null>;
}

/** Milliseconds until ghost text is seen. */
const glance = 200;

/**
 * The ghost text of one window: where it comes from, what became of it, and what comes after it. It is told of the editor by
 * queries alone and knows nothing of VS Code.
 */
export class GhostText {
  private cache = new SuggestionCache();
  private readonly rejected = new RejectedSuggestions();
  private readonly source: SuggestionSource;
  private shown: { query: SuggestionQuery; text: string; since: number } | undefined;

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
   * The text to show at the cursor, empty for none. Resolves with the empty text as soon as `signal` aborts.
   *
   * @param pause waited for before the engine is asked; none for a suggestion that the user asked for, who gets one that they
   *   have rejected before, too.
   * @throws EngineError when the engine fails.
   */
  async suggest(query: SuggestionQuery, pause: Pause | undefined, signal: AbortSignal): Promise<string> {
    const since = this.follow(query);
    const { text } = await this.source.suggest(query, pause, signal);
    if (signal.aborted || text === "") return "";
    if (pause && this.rejected.has(shownOf(query, text))) return "";
    this.shown = { query, text, since: since ?? this.options.clock.now() };
    return text;
  }

  /** The user does not want what is shown at this place. */
  reject(query: SuggestionQuery): void {
    this.follow(query);
    if (this.shown) this.rejected.add(shownOf(this.shown.query, this.shown.text));
    this.shown = undefined;
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

  /** Another model or length would suggest something else. */
  forget(): void {
    this.cache = new SuggestionCache();
    this.shown = undefined;
  }

  /** Since when the text on the screen is there, unless it is over with it. */
  private follow(query: SuggestionQuery): number | undefined {
    if (!this.shown) return undefined;
    const { since, text } = this.shown;
    const shown = shownOf(this.shown.query, text);
    const fate = fateOf(shown, query);
    if (fate === "open") return since;
    if (fate === "rejected" && this.options.clock.now() - since >= glance) this.rejected.add(shown);
    this.shown = undefined;
    return undefined;
  }
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
