import { describe, expect, test } from "vitest";
import { trimHistory } from "../../../src/engine/chat/trim_history";
import type { ChatMessage } from "../../../src/shared/chat";

const roles = { s: "system", u: "user", a: "assistant" } as const;

/** `u5` is a message of the user that takes five tokens. */
function chat(shorthand: string): ChatMessage[] {
  return shorthand
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => ({ role: roles[word.charAt(0) as keyof typeof roles], content: word.slice(1) }));
}

function shorthand(messages: readonly ChatMessage[]): string {
  return messages.map(({ role, content }) => role.charAt(0) + content).join(" ");
}

function tokenize(messages: readonly ChatMessage[]): Promise<Int32Array> {
  return Promise.resolve(new Int32Array(messages.reduce((sum, { content }) => sum + Number(content), 0)));
}

describe("a history cut to a budget", () => {
  function check(given: string, budget: number, kept: string, dropped: number): void {
    test(`${given} in ${budget}`, async () => {
      const messages = chat(given);
      const result = await trimHistory(messages, budget, tokenize);
      expect([shorthand(result.messages), result.dropped]).toEqual([kept, dropped]);
      expect(result.tokens).toEqual(await tokenize(result.messages));
      expect(shorthand(messages)).toBe(given);
    });
  }

  check("u5", 5, "u5", 0);
  check("s1 u5", 6, "s1 u5", 0);
  check("s1 u2 a2 u2", 7, "s1 u2 a2 u2", 0);
  check("s1 u2 a2 u2", 6, "s1 u2", 2);
  check("s1 u2 a2 u2", 3, "s1 u2", 2);
  check("u2 a2 u2", 5, "u2", 2);
  check("u9 a1 u1 a1 u1", 4, "u1 a1 u1", 2);
  check("u1 a9 u1 a1 u1", 4, "u1 a1 u1", 2);
  check("u1 a1 u1 a9 u1", 4, "u1", 4);
  check("s1 u1 a1 u2 a1 u3 a1 u4", 11, "s1 u3 a1 u4", 4);
  check("s1 u1 a1 u2 a1 u3 a1 u4", 8, "s1 u4", 6);
  check("s1 a3 u1", 3, "s1 u1", 1);
  check("a2 u1", 3, "a2 u1", 0);
  check("a2 a2", 4, "a2 a2", 0);
  check("u1 u1 u1", 2, "u1 u1", 1);
  check("u1 u1 a1 u1", 3, "u1 a1 u1", 1);
  check("u1 a1 a1 u1", 3, "u1", 3);
  check("u3 a1 u2 a1", 3, "u2 a1", 2);
  check("u1 s1 u1", 2, "u1", 2);
});

describe("a history of which not even the last question fits", () => {
  function check(given: string, budget: number, ...numbers: number[]): void {
    test(`${given} in ${budget}`, async () => {
      const failure: unknown = await trimHistory(chat(given), budget, tokenize).catch((thrown: unknown) => thrown);
      expect(failure).toMatchObject({ name: "EngineError", code: "CONTEXT_TOO_LONG" });
      expect(String(failure).match(/\d+/g)?.map(Number)).toEqual(numbers);
      expect(String(failure)).toContain("Attach less, or raise nmos.engine.contextLength");
    });
  }

  check("u9", 8, 9, 8);
  check("s5 u5", 9, 10, 9);
  check("s1 u1 a1 u9", 9, 10, 9);
  check("s1 u1 a1 u1 a9", 9, 11, 9);
  check("a9", 8, 9, 8);
  check("u1", -5, 1, 0);
});

describe("nothing to answer", () => {
  test.each(["", "s1"])("%j", async (given) => {
    await expect(trimHistory(chat(given), 100, tokenize)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

test("what fits at once is counted once", async () => {
  let counts = 0;
  await trimHistory(chat("s1 u1 a1 u1"), 4, (messages) => {
    counts += 1;
    return tokenize(messages);
  });
  expect(counts).toBe(1);
});

test("a long history is counted a few times only, and its beginning rarely moves", async () => {
  const starts = new Set<number>();
  let turns = "";
  for (let turn = 0; turn < 100; turn++) {
    turns += `u${4 + (turn % 3)} `;
    let counts = 0;
    const { tokens, dropped } = await trimHistory(chat(`s3 ${turns}`), 200, (messages) => {
      counts += 1;
      return tokenize(messages);
    });
    expect(counts).toBeLessThanOrEqual(8);
    expect(tokens.length).toBeLessThanOrEqual(200);
    expect(dropped === 0 || tokens.length > 140).toBe(true);
    starts.add(dropped);
    turns += "a1 ";
  }
  // 100 turns of 6 tokens, 200 of which fit, in steps of 50.
  expect(starts.size).toBeLessThanOrEqual(10);
});
