import { describe, expect, it } from "vitest";
import type { SessionPool } from "../../../src/engine/host/session_pool";
import type { Priority } from "../../../src/shared/generation";
import { gate } from "./gate";
import { hold, letters, pool, run, settle, type FakeSession } from "./pool_fixture";

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

it.each<[Priority, boolean]>([
  ["suggest", true],
  ["chat", true],
  ["warm", false],
])("knows whether somebody waits for what it computes: %s", async (priority, expected) => {
  const one = pool();
  expect(one.isAwaited).toBe(false);
  const controller = new AbortController();
  const held = hold(one, "abcd", priority, controller.signal);
  await settle();
  expect(one.isAwaited).toBe(expected);
  controller.abort();
  expect(one.isAwaited).toBe(false);
  held.release();
  await held.done;
  expect(one.isAwaited).toBe(false);
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

  it("is copied anew only when there is more of it", async () => {
    let copies = 0;
    const one = pool({ maxSessions: 1, onCopy: () => copies++ });
    const counts = [];
    for (const prompt of [
      file("a"),
      file("b"),
      file("a"),
      `${file("a")}!`,
      file("b"),
      file("a") + file("c"),
      file("b"),
    ]) {
      await found(one, prompt);
      counts.push(copies);
    }
    expect(counts).toEqual([0, 1, 2, 2, 2, 2, 3]);
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
