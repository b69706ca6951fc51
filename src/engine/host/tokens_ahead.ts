import type { Priority } from "../../shared/generation";
import type { NativeSession, PrefillResult } from "../native/addon";

interface Range {
  from: number;
  to: number;
}

/**
 * How many tokens were computed before a request needed them, and how many of those a request then found in its KV cache;
 * the rest was work for nothing, or waits still.
 */
export class TokensAhead {
  computed = 0;
  used = 0;
  /** What each session's cache holds of them. */
  private readonly held = new WeakMap<NativeSession, Range>();

  /** The session holds something else now. */
  forget(session: NativeSession): void {
    this.held.delete(session);
  }

  record(
    session: NativeSession,
    priority: Priority,
    { reusedTokens, computedTokens }: Pick<PrefillResult, "reusedTokens" | "computedTokens">,
  ): void {
    const { from, to } = this.held.get(session) ?? { from: 0, to: 0 };
    const still = Math.max(0, Math.min(to, reusedTokens) - from);
    if (priority === "warm") {
      this.computed += computedTokens;
      this.held.set(session, { from: still > 0 ? from : reusedTokens, to: reusedTokens + computedTokens });
    } else {
      this.used += still;
      this.held.delete(session);
    }
  }
}
