import { SessionPool, type SessionPoolOptions } from "../../../src/engine/host/session_pool";
import type { NativeModel, NativeSession } from "../../../src/engine/native/addon";
import type { Priority } from "../../../src/shared/generation";
import { gate } from "./gate";

/** A session that holds what it was last given, and remembers its number. */
export interface FakeSession extends Pick<NativeSession, "cachedTokens" | "save" | "restore"> {
  number: number;
  cached: Int32Array;
}

/** A pool over a model that refuses to make more than `mostSessions`, and in a memory that holds `fitting`. */
export function pool(
  changes: Partial<SessionPoolOptions> & {
    mostSessions?: number;
    fitting?: number;
    failure?: string;
    failingCopies?: boolean;
    /** Called when a session is copied. */
    onCopy?: () => void;
  } = {},
) {
  const {
    mostSessions = Infinity,
    fitting = Infinity,
    failure = "OUT_OF_MEMORY",
    failingCopies,
    onCopy,
    ...options
  } = changes;
  let made = 0;
  const model = {
    async createSession(): Promise<NativeSession> {
      await Promise.resolve();
      if (made >= mostSessions) throw Object.assign(new Error("no more"), { code: failure });
      const session: FakeSession = {
        number: ++made,
        cached: new Int32Array(),
        cachedTokens() {
          return this.cached;
        },
        save() {
          onCopy?.();
          if (failingCopies) return Promise.reject(new Error("no copy"));
          return Promise.resolve({ tokens: this.cached, bytes: this.cached.length, close: () => undefined });
        },
        restore({ tokens }) {
          this.cached = tokens;
          return Promise.resolve();
        },
      };
      return session as unknown as NativeSession;
    },
  } as unknown as NativeModel;
  return new SessionPool(model, {
    contextLength: 10,
    threads: 1,
    maxSessions: 3,
    storeBytes: 10_000,
    bytesPerToken: 1,
    room: () => fitting - made,
    withRoom: (create) => create(),
    ...options,
  });
}

export const letters = (text: string) => Int32Array.from(text, (letter) => letter.codePointAt(0) ?? 0);

/** Uses a session for a prompt at once; resolves with its number. */
export function run(from: SessionPool, prompt: string, priority: Priority = "chat"): Promise<number | null> {
  return from.use({ tokens: letters(prompt), priority }, (session) => {
    const fake = session as unknown as FakeSession;
    fake.cached = letters(prompt);
    return Promise.resolve(fake.number);
  });
}

/** Holds a session until it is released; says which one once it has it. */
export function hold(from: SessionPool, prompt: string, priority: Priority, signal?: AbortSignal) {
  const { opened, open } = gate();
  const state: { number: number | null; release: () => void; done: Promise<unknown> } = {
    number: null,
    release: open,
    done: from.use({ tokens: letters(prompt), priority, signal }, async (session) => {
      state.number = (session as unknown as FakeSession).number;
      await opened;
    }),
  };
  return state;
}

export const settle = () => new Promise((resolve) => setImmediate(resolve));
