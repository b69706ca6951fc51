/** Suggestions kept; a suggestion is a few hundred bytes. */
const capacity = 100;

interface Known {
  path: string;
  prefix: string;
  suffix: string;
  text: string;
}

/**
 * Suggestions already computed. Serves what is left of one while the user types through it, after a part of it was
 * accepted, and after deleting back to where it was shown.
 */
export class SuggestionCache {
  /** Most recently used last. */
  private known: Known[] = [];

  /** What is left of a known suggestion at this place, empty when it was known to be none; undefined when unknown. */
  find(path: string, prefix: string, suffix: string): string | undefined {
    for (const entry of this.known.toReversed()) {
      const rest = restOf(entry, path, prefix, suffix);
      if (rest === undefined) continue;
      this.known = [...this.known.filter((other) => other !== entry), entry];
      return rest;
    }
    return undefined;
  }

  /** Remembers the suggestion (empty: that there is none) for a place. */
  add(path: string, prefix: string, suffix: string, text: string): void {
    const others = this.known.filter(
      (entry) => !(entry.path === path && entry.prefix === prefix && entry.suffix === suffix),
    );
    this.known = [...others.slice(-(capacity - 1)), { path, prefix, suffix, text }];
  }
}

function restOf(entry: Known, path: string, prefix: string, suffix: string): string | undefined {
  if (entry.path !== path || entry.suffix !== suffix || !prefix.startsWith(entry.prefix)) return undefined;
  const typed = prefix.slice(entry.prefix.length);
  if (typed === "") return entry.text;
  // Typed to its end there is nothing left to show, but more may follow, so that is not "known to be none".
  return entry.text.startsWith(typed) && entry.text.length > typed.length ? entry.text.slice(typed.length) : undefined;
}
