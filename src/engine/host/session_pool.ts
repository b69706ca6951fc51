import { toEngineError } from "../../shared/errors";
import type { Priority } from "../../shared/generation";
import type { NativeModel, NativeSession, NativeSnapshot } from "../native/addon";
import { commonPrefix } from "./common_prefix";
import { KvStore } from "./kv_store";

export interface SessionPoolOptions {
  /** Tokens. */
  contextLength: number;
  threads: number;
  /** Sessions are made as requests need them, up to this many. */
  maxSessions: number;
  /** How many more there is memory for; the first is tried in any case. */
  room: () => number;
  /** Bytes of RAM for copies of what sessions held before they were given something else. */
  storeBytes: number;
  /** Of a KV cache. */
  bytesPerToken: number;
  /** Runs what makes a session, and makes room for it when it is refused memory. */
  withRoom: (create: () => Promise<NativeSession>) => Promise<NativeSession>;
}

export interface SessionRequest {
  /** The prompt, by which the session is chosen. */
  tokens: Int32Array;
  priority: Priority;
  /** A short prompt that stands in for a longer one: it has a session of its own and leaves what others hold alone. */
  brief?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

interface PooledSession {
  session: NativeSession;
  /** The request that has it; null: it is free. */
  held: Hold | null;
  /** Whether it is the one for brief prompts. */
  brief: boolean;
  lastUsed: number;
}

interface Hold {
  priority: Priority;
  /** Whether the session was one for brief prompts before. */
  wasBrief: boolean;
  /** Ends the request early. */
  preemption: AbortController;
  isEnding: () => boolean;
}

interface Waiter {
  tokens: Int32Array;
  priority: Priority;
  brief: boolean;
  settle: (pooled: PooledSession | null) => void;
  fail: (thrown: unknown) => void;
  /** Nobody waits for it any more. */
  abandoned: () => boolean;
}

const urgency: Record<Priority, number> = { suggest: 0, chat: 1, warm: 2 };

/** A session that shares less than this part of what it holds is better kept for whoever filled it. */
const worthReusing = 0.5;

/** Tokens that are worth a copy: computing fewer anew takes hardly longer. */
const worthKeeping = 128;

/** With so few tokens more a session is not copied again. */
const notWorthAnother = 16;

/**
 * The sessions of one model. Every request gets the free session whose KV cache shares the longest prefix with its
 * prompt, or a new one, so that two chats and the ghost text of an editor do not throw each other's cache away.
 * One session is kept from everything but ghost text, which therefore does not wait for the end of an answer. Where there
 * is memory for one session only, it does: it is the first to get it then. Computing ahead ends as soon as a request wants
 * its session, because that is the one with the right beginning, or because there is no other.
 */
export class SessionPool {
  private readonly sessions: PooledSession[] = [];
  private readonly store: KvStore;
  private readonly creating: Priority[] = [];
  private waiters: Waiter[] = [];
  private uses = 0;
  private maxSessions: number;

  constructor(
    private readonly model: NativeModel,
    private readonly options: SessionPoolOptions,
  ) {
    this.maxSessions = options.maxSessions;
    this.store = new KvStore(options.storeBytes);
  }

  /** Lets the copies go. */
  forget(): void {
    this.store.clear();
  }

  /** Those that are being made included. */
  get size(): number {
    return this.sessions.length + this.creating.length;
  }

  /**
   * Runs `action` with a session that nobody else uses meanwhile; waits for one, the most urgent request first.
   * Resolves with null, without having run it, when the signal is aborted before there is one. `preempted` tells the
   * action to end soon, `isRestored` that the session was given a copy of what an earlier one held.
   */
  async use<T>(
    request: SessionRequest,
    action: (session: NativeSession, preempted: AbortSignal, isRestored: boolean) => Promise<T>,
  ): Promise<T | null> {
    const pooled = await this.take(request);
    if (!pooled?.held) return null;
    try {
      const isRestored = await this.bringBack(pooled.session, pooled.held, request);
      return await action(pooled.session, pooled.held.preemption.signal, isRestored);
    } finally {
      pooled.held = null;
      this.dispatch();
    }
  }

  /** Whether a request is under way for which somebody waits. */
  get isAwaited(): boolean {
    return this.sessions.some(({ held }) => held !== null && held.priority !== "warm" && !held.isEnding());
  }

  /** How many of the tokens a request for ghost text with this prompt would have to compute. */
  missing(tokens: Int32Array, brief = false): number {
    const isAvailable = ({ held }: PooledSession) => held === null || isSoonFree(held, "suggest");
    const available = this.sessions.filter((pooled) => pooled.brief === brief && isAvailable(pooled));
    const best = longestPrefix(available, tokens);
    const held = best && (brief || best.share >= worthReusing || !this.canCreate()) ? best.length : 0;
    const stored = brief ? 0 : (this.store.find(tokens)?.length ?? 0);
    return tokens.length - (stored >= held + worthKeeping ? stored : held);
  }

  /**
   * Gives a session what an earlier one held of the prompt, where that is much more than it holds itself, and keeps a copy
   * of what is lost. Copying takes milliseconds. Where it fails the prompt is computed, as it would be anyway.
   */
  private async bringBack(
    session: NativeSession,
    held: Hold,
    { tokens, priority, brief = false }: SessionRequest,
  ): Promise<boolean> {
    const cached = session.cachedTokens();
    const common = commonPrefix(cached, tokens);
    const stored = brief ? null : this.store.find(tokens);
    const restored = stored !== null && stored.length >= common + worthKeeping ? stored.snapshot : undefined;
    const stays = restored ? commonPrefix(cached, restored.tokens) : common;
    const lost = held.wasBrief ? 0 : cached.length - stays;
    const mayCopy = lost >= worthKeeping && cached.length * this.options.bytesPerToken <= this.options.storeBytes;
    const isWorthCopy = mayCopy && !this.isCopied(cached);
    let copy: NativeSnapshot | null = null;
    let isRestored = false;
    try {
      if (restored) this.store.touch(restored);
      if (isWorthCopy && !held.isEnding()) copy = await session.save({ priority });
      if (restored && !held.isEnding()) {
        await session.restore(restored, { priority });
        isRestored = true;
      }
    } catch {
      // A model that was closed tells the request itself.
    } finally {
      // Only now: it may take the place of the one that was needed.
      if (copy) this.store.add(copy);
    }
    return isRestored;
  }

  /** Whether hardly more is in a session than in one of the copies. */
  private isCopied(cached: Int32Array): boolean {
    return cached.length - (this.store.find(cached)?.length ?? 0) <= notWorthAnother;
  }

  private take({ tokens, priority, brief = false, signal }: SessionRequest): Promise<PooledSession | null> {
    if (signal?.aborted) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.waiters = this.waiters.filter((other) => other !== waiter);
        resolve(null);
      };
      const waiter: Waiter = {
        tokens,
        priority,
        brief,
        settle: (pooled) => {
          signal?.removeEventListener("abort", leave);
          resolve(pooled);
        },
        fail: (thrown) => {
          signal?.removeEventListener("abort", leave);
          reject(toEngineError(thrown));
        },
        abandoned: () => signal?.aborted ?? false,
      };
      signal?.addEventListener("abort", leave, { once: true });
      this.enqueue(waiter);
    });
  }

  private enqueue(waiter: Waiter): void {
    this.waiters = [...this.waiters, waiter].toSorted((a, b) => urgency[a.priority] - urgency[b.priority]);
    this.dispatch();
  }

  /** Serves every waiter that can be served now, the most urgent first. */
  private dispatch(): void {
    for (const waiter of [...this.waiters]) {
      const pooled = this.choose(waiter);
      const servable = this.admits(waiter.priority) && (pooled !== null || this.canCreate());
      if (this.waitsFor(waiter, pooled, servable) || !servable) continue;
      this.waiters = this.waiters.filter((other) => other !== waiter);
      if (pooled) this.hand(pooled, waiter);
      else void this.createFor(waiter);
    }
  }

  /** True when a session that is soon free is better than what there is now; computing ahead with it ends. */
  private waitsFor({ tokens, priority, brief }: Waiter, chosen: PooledSession | null, servable: boolean): boolean {
    const best = longestPrefix(
      this.sessions.filter((one) => one.brief === brief && one.held !== null && isSoonFree(one.held, priority)),
      tokens,
    );
    // One for other prompts is better than none.
    if (!best) return !servable && this.preemptAny(priority);
    const now = chosen ? commonPrefix(chosen.session.cachedTokens(), tokens) : 0;
    if (servable && (best.share < worthReusing || best.length <= now)) return false;
    best.pooled.held?.preemption.abort();
    return true;
  }

  private preemptAny(priority: Priority): boolean {
    const other = this.sessions.find(({ held }) => held !== null && isSoonFree(held, priority));
    other?.held?.preemption.abort();
    return other !== undefined;
  }

  private admits(priority: Priority): boolean {
    if (priority === "suggest") return true;
    const held = [...this.sessions.flatMap(({ held }) => (held ? [held.priority] : [])), ...this.creating];
    const others = held.filter((holder) => holder !== "suggest").length;
    return others < Math.max(1, this.capacity() - 1);
  }

  /** The free session to use, or null when a new one is better or none is free. */
  private choose({ tokens, brief }: Waiter): PooledSession | null {
    const free = this.sessions.filter(({ held }) => held === null);
    const suitable = free.filter((pooled) => pooled.brief === brief);
    const best = longestPrefix(suitable, tokens);
    if (best && (brief || best.share >= worthReusing)) return best.pooled;
    if (this.canCreate()) return null;
    const oldest = (some: PooledSession[]) => some.toSorted((a, b) => a.lastUsed - b.lastUsed)[0];
    return oldest(suitable) ?? oldest(free) ?? null;
  }

  private canCreate(): boolean {
    return this.size < this.capacity();
  }

  /** How many sessions there can be with the memory there is now; those being made may not have taken theirs yet. */
  private capacity(): number {
    const missing = this.maxSessions - this.size;
    if (missing <= 0) return this.size;
    const room = Math.max(0, this.options.room() - this.creating.length);
    return Math.max(1, this.size + Math.min(missing, room));
  }

  private async createFor(waiter: Waiter): Promise<void> {
    this.creating.push(waiter.priority);
    const { contextLength, threads, withRoom } = this.options;
    let created: NativeSession | null = null;
    let failure: unknown;
    try {
      created = await withRoom(() => this.model.createSession({ contextLength, threads }));
    } catch (thrown) {
      failure = thrown;
    }
    this.creating.splice(this.creating.indexOf(waiter.priority), 1);
    if (created) {
      const pooled = { session: created, held: null, brief: waiter.brief, lastUsed: 0 };
      this.sessions.push(pooled);
      if (!waiter.abandoned()) this.hand(pooled, waiter);
    } else if (this.sessions.length > 0 && toEngineError(failure).code === "OUT_OF_MEMORY") {
      // Without memory for one more, those that there are must do.
      this.maxSessions = this.sessions.length;
      if (!waiter.abandoned()) this.enqueue(waiter);
    } else {
      waiter.fail(failure);
    }
    this.dispatch();
  }

  private hand(pooled: PooledSession, waiter: Waiter): void {
    const preemption = new AbortController();
    const isEnding = () => preemption.signal.aborted || waiter.abandoned();
    pooled.held = { priority: waiter.priority, wasBrief: pooled.brief, preemption, isEnding };
    pooled.brief = waiter.brief;
    pooled.lastUsed = ++this.uses;
    waiter.settle(pooled);
  }
}

/** Whether the session comes free within milliseconds when a request of this class wants it. */
function isSoonFree(held: Hold, wanted: Priority): boolean {
  return held.isEnding() || (held.priority === "warm" && wanted !== "warm");
}

interface Match {
  pooled: PooledSession;
  /** Tokens that both have at their beginning. */
  length: number;
  /** Of the shorter one. */
  share: number;
}

function longestPrefix(sessions: PooledSession[], tokens: Int32Array): Match | null {
  let best: Match | null = null;
  for (const pooled of sessions) {
    const cached = pooled.session.cachedTokens();
    const length = commonPrefix(cached, tokens);
    if (best && length <= best.length) continue;
    best = { pooled, length, share: cached.length === 0 ? 1 : length / Math.min(cached.length, tokens.length) };
  }
  return best;
}
