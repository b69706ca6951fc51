import { describe, expect, it } from "vitest";
import { SessionPool, type SessionPoolOptions } from "../../../src/engine/host/session_pool";
import type { NativeModel, NativeSession } from "../../../src/engine/native/addon";
import type { Priority } from "../../../src/shared/protocol";
import { gate } from "./gate";

/** A session that holds what it was last given, and remembers its number. */
interface FakeSession extends Pick<NativeSession, "cachedTokens" | "save" | "restore"> {
  number: number;
  cached: Int32Array;
}

/** A pool over a model that refuses to make more than `mostSessions`, and in a memory that holds `fitting`. */
function pool(
  changes: Partial<SessionPoolOptions> & {
    mostSessions?: number;
    fitting?: number;
    failure?: string;
    failingCopies?: boolean;
  } = {},
) {
  const { mostSessions = Infinity, fitting = Infinity, failure = "OUT_OF_MEMORY", failingCopies, ...options } = changes;
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

const letters = (text: string) => Int32Array.from(text, (letter) => letter.codePointAt(0) ?? 0);

/** Uses a session for a prompt at once; resolves with its number. */
function run(from: SessionPool, prompt: string, priority: Priority = "chat"): Promise<number | null> {
  return from.use({ tokens: letters(prompt), priority }, (session) => {
    const fake = session as unknown as FakeSession;
    fake.cached = letters(prompt);
    return Promise.resolve(fake.number);
  });
}

/** Holds a session until it is released; says which one once it has it. */
function hold(from: SessionPool, prompt: string, priority: Priority, signal?: AbortSignal) {
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

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe("the session of a request", () => {
  it.each<[name: string, prompts: string[], sessions: number[]]>([
    ["is the one that has its beginning", ["abcd", "xyz", "abcde", "xyzz"], [1, 2, 1, 2]],
    ["is a new one where too little is shared", ["abcdefgh", "abxxxxxx"], [1, 2]],
    ["is the one used longest ago when there may be no new one", ["aa", "bb", "cc", "dd", "bbb"], [1, 2, 3, 1, 2]],
    ["is the one with the longest common beginning", ["aaaa", "aaab", "aaabb"], [1, 1, 1]],
  ])("%s", async (_, prompts, sessions) => {
    const one = pool();
    const seen: (number | null)[] = [];
    for (const prompt of prompts) seen.push(await run(one, prompt));
    expect(seen).toEqual(sessions);
  });

  it("is never shared", async () => {
    const one = pool();
    const holders = ["same", "same"].map((prompt) => hold(one, prompt, "chat"));
    await settle();
    expect(holders.map(({ number }) => number)).toEqual([1, 2]);
    for (const { release, done } of holders) {
      release();
      await done;
    }
  });
});

describe("waiting", () => {
  it("ends with the most urgent first", async () => {
    const one = pool({ maxSessions: 1 });
    const first = hold(one, "a", "warm");
    await settle();
    const order: Priority[] = [];
    const waiting = (["warm", "chat", "suggest"] as const).map((priority) =>
      run(one, "b", priority).then(() => order.push(priority)),
    );
    await settle();
    expect(order).toEqual([]);
    first.release();
    await Promise.all(waiting);
    expect(order).toEqual(["suggest", "chat", "warm"]);
  });

  it("ends with null when the request is aborted, and takes nobody's place", async () => {
    const one = pool({ maxSessions: 1 });
    const first = hold(one, "a", "chat");
    await settle();
    const controller = new AbortController();
    const aborted = one.use({ tokens: letters("b"), priority: "chat", signal: controller.signal }, () =>
      Promise.reject(new Error("must not run")),
    );
    const next = run(one, "c");
    controller.abort();
    expect(await aborted).toBeNull();
    first.release();
    expect(await next).toBe(1);
  });

  it("is not for a request that was aborted before", async () => {
    const one = pool();
    const tokens = letters("a");
    const never = () => Promise.reject(new Error("must not run"));
    expect(await one.use({ tokens, priority: "chat", signal: AbortSignal.abort() }, never)).toBeNull();
    expect(one.size).toBe(0);
  });
});

describe("ghost text", () => {
  it.each([2, 3])("never waits for answers: %s sessions", async (maxSessions) => {
    const one = pool({ maxSessions });
    const chats = Array.from({ length: maxSessions }, (_, index) => hold(one, `chat ${String(index)}`, "chat"));
    await settle();
    expect(chats.filter(({ number }) => number !== null)).toHaveLength(maxSessions - 1);
    expect(await run(one, "ghost", "suggest")).not.toBeNull();
    for (const { release, done } of chats) {
      release();
      await done;
    }
  });
});

describe("ghost text where memory is short", () => {
  it.each([2, 3])("has a session kept for it as soon as there can be two: room for %s", async (fitting) => {
    const one = pool({ fitting });
    const chats = ["a", "b", "c"].map((prompt) => hold(one, prompt, "chat"));
    await settle();
    expect(chats.filter(({ number }) => number !== null)).toHaveLength(fitting - 1);
    expect(await run(one, "ghost", "suggest")).toBe(fitting);
    for (const { release, done } of chats) {
      release();
      await done;
    }
  });

  it("keeps its session when there is no memory for a third any more", async () => {
    let room = 3;
    const one = pool({ room: () => room });
    const chat = hold(one, "chat", "chat");
    await settle();
    expect(await run(one, "ghost", "suggest")).toBe(2);
    room = 0;
    const other = hold(one, "other", "chat");
    await settle();
    expect(other.number).toBeNull();
    expect(await run(one, "ghost", "suggest")).toBe(2);
    for (const { release, done } of [chat, other]) {
      release();
      await done;
    }
  });

  it.each<[name: string, memory: Parameters<typeof pool>[0]]>([
    ["as measured", { fitting: 1 }],
    ["as the first attempt shows", { mostSessions: 1 }],
  ])("gets the only session first, when the answer has ended: %s", async (_, memory) => {
    const one = pool(memory);
    const answer = hold(one, "answer", "chat");
    await settle();
    const order: Priority[] = [];
    const waiting = (["chat", "suggest", "warm"] as const).map((priority) =>
      run(one, priority, priority).then(() => order.push(priority)),
    );
    await settle();
    expect([order, one.size]).toEqual([[], 1]);
    answer.release();
    await Promise.all(waiting);
    expect(order).toEqual(["suggest", "chat", "warm"]);
  });
});

describe("without memory", () => {
  it("for one more session those that there are must do", async () => {
    const one = pool({ mostSessions: 1 });
    expect(await run(one, "aaaa")).toBe(1);
    expect(await run(one, "bbbb")).toBe(1);
    expect(one.size).toBe(1);
  });

  it("as measured, none is tried", async () => {
    const one = pool({ room: () => 0 });
    expect(await run(one, "aaaa")).toBe(1);
    expect(await run(one, "bbbb")).toBe(1);
  });

  it("room is made for a session, of whatever number", async () => {
    let made = 0;
    const one = pool({ withRoom: (create) => (made++, create()) });
    for (const prompt of ["aaaa", "bbbb"]) await run(one, prompt);
    expect(made).toBe(2);
  });

  it("for the first session the request fails, and the next one tries again", async () => {
    const one = pool({ mostSessions: 0 });
    await expect(run(one, "a")).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    await expect(run(one, "a")).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
  });

  it("is no other failure: that one is told", async () => {
    const one = pool({ mostSessions: 1, failure: "CLOSED" });
    expect(await run(one, "aaaa")).toBe(1);
    await expect(run(one, "bbbb")).rejects.toMatchObject({ code: "CLOSED" });
    expect(await run(one, "aaaa")).toBe(1);
  });
});

it("a session comes back after a request that fails", async () => {
  const one = pool({ maxSessions: 1 });
  const failing = one.use({ tokens: letters("a"), priority: "chat" }, () => Promise.reject(new Error("failed")));
  await expect(failing).rejects.toThrow("failed");
  expect(await run(one, "b")).toBe(1);
});

describe("computing ahead", () => {
  /** Holds a session for a warming request until it is told to end; then it takes a moment. */
  function warm(from: SessionPool, prompt: string) {
    const { opened, open } = gate();
    const state = { number: 0, preempted: false, end: open, done: Promise.resolve<unknown>(null) };
    state.done = from.use({ tokens: letters(prompt), priority: "warm" }, async (session, preempted) => {
      const fake = session as unknown as FakeSession;
      fake.cached = letters(prompt);
      state.number = fake.number;
      preempted.addEventListener("abort", () => {
        state.preempted = true;
      });
      await opened;
    });
    return state;
  }

  it.each<[name: string, maxSessions: number, ahead: string, asked: string, priority: Priority, ends: boolean]>([
    ["ends for ghost text with the same beginning", 3, "abcd", "abcdef", "suggest", true],
    ["ends for a chat with the same beginning", 3, "abcd", "abcdef", "chat", true],
    ["goes on beside ghost text of another file", 3, "abcd", "xyz", "suggest", false],
    ["ends for ghost text when there is no other session", 1, "abcd", "xyz", "suggest", true],
    ["ends for a chat when there is no other session for it", 2, "abcd", "xyz", "chat", true],
    ["does not end for more of its kind", 1, "abcd", "abcdef", "warm", false],
  ])("%s", async (_, maxSessions, ahead, asked, priority, ends) => {
    const one = pool({ maxSessions });
    const warming = warm(one, ahead);
    await settle();
    const request = hold(one, asked, priority);
    await settle();
    expect(warming.preempted).toBe(ends);
    if (ends) expect(request.number).toBeNull();
    warming.end();
    await warming.done;
    await settle();
    expect(request.number).not.toBeNull();
    request.release();
    await request.done;
  });

  it("leaves a better session than its own to the request", async () => {
    const one = pool();
    await run(one, "abcdef");
    await run(one, "abxxxx");
    const warming = warm(one, "abxxxxy");
    await settle();
    expect(await run(one, "abcdefg", "suggest")).toBe(1);
    expect(warming.preempted).toBe(false);
    warming.end();
    await warming.done;
  });
});

describe("a session whose request was called off", () => {
  it("is waited for by the request that goes on where that one was", async () => {
    const one = pool();
    await run(one, "abcd", "suggest");
    const controller = new AbortController();
    const ended = hold(one, "abcde", "suggest", controller.signal);
    await settle();
    controller.abort();
    const next = hold(one, "abcdf", "suggest");
    await settle();
    expect(next.number).toBeNull();
    ended.release();
    await ended.done;
    await settle();
    expect(next.number).toBe(1);
    next.release();
    await next.done;
  });
});

it("says how many tokens of a prompt are missing", async () => {
  const one = pool();
  expect(one.missing(letters("abc"))).toBe(3);
  await run(one, "abcd", "suggest");
  await run(one, "xy", "suggest");
  expect(one.missing(letters("abxx"))).toBe(2);
  expect(one.missing(letters("xyz"))).toBe(1);
  const held = hold(one, "abcd", "chat");
  await settle();
  expect(one.missing(letters("abcd"))).toBe(4);
  held.release();
  await held.done;
  expect(one.missing(letters("abcd"))).toBe(0);
});

describe("a brief prompt", () => {
  const ask = (from: SessionPool, prompt: string, brief: boolean): Promise<number | null> =>
    from.use({ tokens: letters(prompt), priority: "suggest", brief }, (session) => {
      const fake = session as unknown as FakeSession;
      fake.cached = letters(prompt);
      return Promise.resolve(fake.number);
    });

  it.each<[name: string, maxSessions: number, prompts: [string, brief: boolean][], sessions: number[]]>([
    [
      "has a session of its own",
      3,
      [
        ["abcdef", false],
        ["abc", true],
        ["abcdefg", false],
        ["abcd", true],
      ],
      [1, 2, 1, 2],
    ],
    [
      "takes its session for another place, too",
      3,
      [
        ["abcdef", false],
        ["abc", true],
        ["xyz", true],
      ],
      [1, 2, 2],
    ],
    [
      "takes the only one there is",
      1,
      [
        ["abcdef", false],
        ["abc", true],
        ["abcdef", false],
      ],
      [1, 1, 1],
    ],
  ])("%s", async (_, maxSessions, prompts, sessions) => {
    const one = pool({ maxSessions });
    const seen: (number | null)[] = [];
    for (const [prompt, brief] of prompts) seen.push(await ask(one, prompt, brief));
    expect(seen).toEqual(sessions);
  });

  it("finds nothing in what is held for long ones, and the other way round", async () => {
    const one = pool();
    await ask(one, "abcdef", false);
    expect([one.missing(letters("abc")), one.missing(letters("abc"), true)]).toEqual([0, 3]);
  });

  it("ends what is computed ahead with the only session there is", async () => {
    const one = pool({ maxSessions: 1 });
    let ended = false;
    const { opened, open } = gate();
    const ahead = one.use({ tokens: letters("abcdef"), priority: "warm" }, async (_, preempted) => {
      preempted.addEventListener("abort", () => {
        ended = true;
        open();
      });
      await opened;
    });
    await settle();
    expect(await ask(one, "abc", true)).toBe(1);
    expect(ended).toBe(true);
    await ahead;
  });
});

describe("what a session held before it was given something else", () => {
  const file = (name: string) => name.repeat(500);
  /** Has the prompt computed; resolves with what the session held of it before. */
  const found = (from: SessionPool, prompt: string, brief = false): Promise<number | null> =>
    from.use({ tokens: letters(prompt), priority: "warm", brief }, (session) => {
      const fake = session as unknown as FakeSession;
      const held = [...fake.cached].findIndex((token, index) => token !== prompt.codePointAt(index));
      const length = held < 0 ? fake.cached.length : held;
      fake.cached = letters(prompt);
      return Promise.resolve(length);
    });

  it.each<[name: string, options: Parameters<typeof pool>[0], prompts: string[], expected: number[]]>([
    ["is there again", {}, [file("a"), file("b"), `${file("a")}!`], [0, 0, 500]],
    ["is there again and again", {}, [file("a"), file("b"), file("a"), file("b")], [0, 0, 500, 500]],
    ["is not copied where it is little", {}, ["aaaa", file("b"), "aaaaa"], [0, 0, 0]],
    ["is gone when there is no room for it", { storeBytes: 400 }, [file("a"), file("b"), file("a")], [0, 0, 0]],
    [
      "is computed again when it cannot be copied",
      { failingCopies: true },
      [file("a"), file("b"), file("a")],
      [0, 0, 0],
    ],
  ])("%s", async (_, options, prompts, expected) => {
    const one = pool({ maxSessions: 1, ...options });
    const seen: (number | null)[] = [];
    for (const prompt of prompts) seen.push(await found(one, prompt));
    expect(seen).toEqual(expected);
  });

  it("is kept when the only session is taken for a brief prompt, which is not kept", async () => {
    const one = pool({ maxSessions: 1 });
    expect(await found(one, file("a"))).toBe(0);
    expect(await found(one, file("b"), true)).toBe(0);
    expect(await found(one, file("a"))).toBe(500);
    expect(one.missing(letters(file("b")))).toBe(500);
  });

  it("is not copied where the copy would be too large", async () => {
    const one = pool({ maxSessions: 1, bytesPerToken: 1000 });
    const seen = [];
    for (const prompt of [file("a"), file("b"), file("a")]) seen.push(await found(one, prompt));
    expect(seen).toEqual([0, 0, 0]);
  });

  it("counts as there, but not for brief prompts, until it is forgotten", async () => {
    const one = pool({ maxSessions: 1 });
    await found(one, file("a"));
    await found(one, file("b"));
    expect(one.missing(letters(file("a")))).toBe(0);
    expect(one.missing(letters(file("a")), true)).toBe(500);
    one.forget();
    expect(one.missing(letters(file("a")))).toBe(500);
  });
});
