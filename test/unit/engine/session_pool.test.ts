import { describe, expect, it } from "vitest";
import type { Priority } from "../../../src/shared/generation";
import { hold, letters, pool, run, settle } from "./pool_fixture";

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
