import type { NativeModel, NativeSession } from "../native/addon";
import type { Priority } from "../../shared/protocol";

export interface SessionPoolOptions {
  contextLength: number;
  threads: number;
  /** Sessions are made as requests need them, up to this many. */
  maxSessions: number;
}

interface PooledSession {
  session: NativeSession;
  busy: boolean;
  lastUsed: number;
}

interface Waiter {
  tokens: Int32Array;
  priority: Priority;
  take: (pooled: PooledSession) => void;
  fail: (thrown: unknown) => void;
}

const urgency: Record<Priority, number> = { suggest: 0, chat: 1, warm: 2 };

/** A session that shares less than this part of what it holds is better kept for whoever filled it. */
const worthReusing = 0.5;

/**
 * The sessions of one model. Every request gets the free session whose KV cache shares the longest prefix with its
 * prompt, or a new one, so that two chats and the ghost text of an editor do not throw each other's cache away.
 */
export class SessionPool {
  private readonly sessions: PooledSession[] = [];
  private creating = 0;
  private waiters: Waiter[] = [];
  private uses = 0;

  constructor(
    private readonly model: NativeModel,
    private readonly options: SessionPoolOptions,
  ) {}

  get size(): number {
    return this.sessions.length;
  }

  /** Runs `action` with a session that nobody else uses meanwhile; waits for one, the most urgent request first. */
  async use<T>(tokens: Int32Array, priority: Priority, action: (session: NativeSession) => Promise<T>): Promise<T> {
    const pooled = await this.take(tokens, priority);
    try {
      return await action(pooled.session);
    } finally {
      this.giveBack(pooled);
    }
  }

  private async take(tokens: Int32Array, priority: Priority): Promise<PooledSession> {
    const free = this.sessions.filter((pooled) => !pooled.busy);
    const best = longestPrefix(free, tokens);
    if (best && best.share >= worthReusing) return this.mark(best.pooled);
    if (this.sessions.length + this.creating < this.options.maxSessions) return this.create();
    const oldest = free.toSorted((a, b) => a.lastUsed - b.lastUsed)[0];
    if (oldest) return this.mark(oldest);
    return new Promise((take, fail) => {
      this.waiters.push({ tokens, priority, take, fail });
      this.waiters.sort((a, b) => urgency[a.priority] - urgency[b.priority]);
    });
  }

  private async create(): Promise<PooledSession> {
    this.creating += 1;
    try {
      const { contextLength, threads } = this.options;
      const session = await this.model.createSession({ contextLength, threads });
      const pooled = { session, busy: true, lastUsed: ++this.uses };
      this.sessions.push(pooled);
      return pooled;
    } catch (thrown) {
      // Without memory for one more, wait for one of those there are.
      if (this.sessions.length === 0) throw thrown;
      return await new Promise((take, fail) =>
        this.waiters.push({ tokens: new Int32Array(), priority: "warm", take, fail }),
      );
    } finally {
      this.creating -= 1;
    }
  }

  private mark(pooled: PooledSession): PooledSession {
    pooled.busy = true;
    pooled.lastUsed = ++this.uses;
    return pooled;
  }

  private giveBack(pooled: PooledSession): void {
    pooled.busy = false;
    const waiter = this.waiters.shift();
    if (waiter) waiter.take(this.mark(pooled));
  }
}

function longestPrefix(free: PooledSession[], tokens: Int32Array): { pooled: PooledSession; share: number } | null {
  let best: { pooled: PooledSession; share: number; length: number } | null = null;
  for (const pooled of free) {
    const cached = pooled.session.cachedTokens();
    const length = commonPrefix(cached, tokens);
    if (best && length <= best.length) continue;
    best = { pooled, length, share: cached.length === 0 ? 1 : length / Math.min(cached.length, tokens.length) };
  }
  return best;
}

/** How many tokens two sequences share at their beginning. */
export function commonPrefix(a: Int32Array, b: Int32Array): number {
  const limit = Math.min(a.length, b.length);
  let length = 0;
  while (length < limit && a[length] === b[length]) length += 1;
  return length;
}
