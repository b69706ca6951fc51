import type { NativeSnapshot } from "../native/addon";
import { commonPrefix } from "./common_prefix";

/** With what is asked for often, which a snapshot copies each time. */
interface Entry {
  snapshot: NativeSnapshot;
  tokens: Int32Array;
  bytes: number;
  /** The store's age when it was last used. */
  usedAt: number;
}

/**
 * Copies of the KV caches of one model in RAM, at most so many bytes of them: whoever goes back to a file or a conversation finds
 * it there. Where there is no room for all of them, those go that were not used for long and would be cheap to compute anew:
 * GreedyDual-Size (Cao & Irani, "Cost-Aware WWW Proxy Caching Algorithms", 1997). Of one model both the bytes and the time to
 * compute a copy are as its tokens, so that the cost for its size is the share of its tokens that no other copy begins with:
 * of several places of one file, which have most of their prompts in common, a few go before the only copy of another file.
 */
export class KvStore {
  /** The least recently used first. */
  private entries: Entry[] = [];
  /** Grows with what the copies that went were worth, so that what is costly but not used goes, too. */
  private age = 0;

  constructor(private readonly mostBytes: number) {}

  get bytes(): number {
    return this.entries.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Takes ownership. What it makes superfluous goes, and what there is no room for. */
  add(snapshot: NativeSnapshot): void {
    const { tokens, bytes } = snapshot;
    if (bytes > this.mostBytes) {
      snapshot.close();
      return;
    }
    this.drop(this.entries.filter((entry) => commonPrefix(entry.tokens, tokens) === entry.tokens.length));
    const added = { snapshot, tokens, bytes, usedAt: this.age };
    this.entries.push(added);
    while (this.bytes > this.mostBytes) this.dropLeastWorth(added);
    added.usedAt = this.age;
  }

  /** The snapshot that has most of a prompt's beginning, and how many tokens that is. */
  find(tokens: Int32Array): { snapshot: NativeSnapshot; length: number } | null {
    let best: { snapshot: NativeSnapshot; length: number } | null = null;
    for (const entry of this.entries) {
      const length = commonPrefix(entry.tokens, tokens);
      if (length > (best?.length ?? 0)) best = { snapshot: entry.snapshot, length };
    }
    return best;
  }

  /** Keeps it longer than those that were not used since. */
  touch(snapshot: NativeSnapshot): void {
    const used = this.entries.filter((entry) => entry.snapshot === snapshot);
    for (const entry of used) entry.usedAt = this.age;
    this.entries = [...this.entries.filter((entry) => entry.snapshot !== snapshot), ...used];
  }

  clear(): void {
    this.drop(this.entries);
  }

  /** Any but `added`: the place that was just left is the likeliest one to be gone back to. */
  private dropLeastWorth(added: Entry): void {
    let least: { entry: Entry; worth: number } | null = null;
    for (const entry of this.entries) {
      if (entry === added) continue;
      const worth = entry.usedAt + this.ownShare(entry);
      // Of those worth the same the first one, which is the least recently used.
      if (!least || worth < least.worth) least = { entry, worth };
    }
    if (!least) return;
    this.age = least.worth;
    this.drop([least.entry]);
  }

  /** The share of a copy's tokens that would have to be computed anew without it, from 0 to 1. */
  private ownShare({ snapshot, tokens }: Entry): number {
    const common = this.entries.map((other) => (other.snapshot === snapshot ? 0 : commonPrefix(other.tokens, tokens)));
    return 1 - Math.max(...common) / tokens.length;
  }

  private drop(some: readonly Entry[]): void {
    this.entries = this.entries.filter((entry) => !some.includes(entry));
    for (const { snapshot } of some) snapshot.close();
  }
}
