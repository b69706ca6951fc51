import type { NativeSnapshot } from "../native/addon";
import { commonPrefix } from "./common_prefix";

/** With what is asked for often, which a snapshot copies each time. */
interface Entry {
  snapshot: NativeSnapshot;
  tokens: Int32Array;
  bytes: number;
}

/**
 * Copies of the KV caches of one model in RAM, at most so many bytes of them: whoever goes back to a file or a conversation finds
 * it there. Of one model both the bytes and the time to compute a copy anew are as its tokens, so that only the last use decides
 * which one goes.
 */
export class KvStore {
  /** The least recently used first. */
  private entries: Entry[] = [];

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
    this.entries.push({ snapshot, tokens, bytes });
    while (this.bytes > this.mostBytes) this.drop(this.entries.slice(0, 1));
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
    this.entries = [...this.entries.filter((entry) => entry.snapshot !== snapshot), ...used];
  }

  clear(): void {
    this.drop(this.entries);
  }

  private drop(some: readonly Entry[]): void {
    this.entries = this.entries.filter((entry) => !some.includes(entry));
    for (const { snapshot } of some) snapshot.close();
  }
}
