import { describe, expect, test } from "vitest";
import { SuggestionCache } from "../../../src/engine/completion/suggestion_cache";

function split(document: string): [prefix: string, suffix: string] {
  const [prefix = "", suffix = ""] = document.split("|");
  return [prefix, suffix];
}

describe("what is left of a suggestion", () => {
  /** `shown` and `now` are documents with `|` at the cursor. */
  function check(shown: string, text: string, now: string, expected: string | undefined): void {
    test(`${JSON.stringify(shown)} + ${JSON.stringify(text)}, now ${JSON.stringify(now)}`, () => {
      const cache = new SuggestionCache();
      cache.add("a.ts", ...split(shown), text);
      expect(cache.find("a.ts", ...split(now))).toBe(expected);
    });
  }

  check("let a|", " = 1;", "let a|", " = 1;");
  check("let a|", "", "let a|", "");
  check("|", "x", "|", "x");
  // Typed through.
  check("let a|", " = 1;", "let a =|", " 1;");
  check("let a|", " = 1;", "let a = 1|", ";");
  check("let a|\nb", " = 1;", "let a =|\nb", " 1;");
  check("if a:|", "\n    b()\n    c()", "if a:\n    |", "b()\n    c()");
  check("let a|", " = 1;", "let a = 1;|", undefined);
  check("let a|", "", "let ab|", undefined);
  // Something else.
  check("let a|", " = 1;", "let ab|", undefined);
  check("let a|", " = 1;", "let |", undefined);
  check("let a|", " = 1;", "let b|", undefined);
  check("let a|", " = 1;", "let a|\nb", undefined);
  check("let a|", " = 1;", "xlet a|", undefined);
  // Line ends of Windows.
  check("if a:|\r\nb", "\n    b()", "if a:\r\n    |\r\nb", "b()");
  check("x\r\nlet a|\r\n", " = 1;", "x\r\nlet a =|\r\n", " 1;");
  // Brackets that the editor closes.
  check("foo|", "(a, b);", "foo(|)", "a, b");
  check("foo|", "(a, b);", "foo(a|)", ", b");
  check("foo|;", "(a, b)", "foo(|);", "a, b");
  check("foo|", "([a], b);", "foo([|])", "a");
  check("foo|", "([a], b);", "foo([a]|)", ", b");
  check("foo|", '("x");', 'foo("|")', "x");
  check("foo|", "();", "foo(|)", undefined);
  check("foo|", "(a, b);", "foo(|]", undefined);
  check("foo|", "(a, b);", "foo|)", undefined);
});

test("deleting back to where it was shown", () => {
  const cache = new SuggestionCache();
  cache.add("a.ts", "let a", "", " = 1;");
  expect(cache.find("a.ts", "let a =", "")).toBe(" 1;");
  expect(cache.find("a.ts", "let ax", "")).toBeUndefined();
  expect(cache.find("a.ts", "let a", "")).toBe(" = 1;");
});

test("a file does not get another's", () => {
  const cache = new SuggestionCache();
  cache.add("a.ts", "let a", "", " = 1;");
  expect(cache.find("b.ts", "let a", "")).toBeUndefined();
});

test("the last one for a place holds", () => {
  const cache = new SuggestionCache();
  cache.add("a.ts", "let a", "", " = 1;");
  cache.add("a.ts", "let a", "", " = 2;");
  expect(cache.find("a.ts", "let a", "")).toBe(" = 2;");
});

test("the least recently used of a hundred goes", () => {
  const cache = new SuggestionCache();
  const prefix = (index: number): string => `${index} `;
  for (let index = 0; index < 100; ++index) cache.add("a.ts", prefix(index), "", "text");
  expect(cache.find("a.ts", prefix(0), "")).toBe("text");
  cache.add("a.ts", prefix(100), "", "text");
  expect([0, 1, 2, 100].map((index) => cache.find("a.ts", prefix(index), ""))).toEqual([
    "text",
    undefined,
    "text",
    "text",
  ]);
});

describe("far away in a long document", () => {
  const cache = new SuggestionCache();
  const long = "0123456789\n".repeat(5000);
  cache.add("a.ts", `${long}let a`, `\n${long}`, " = 1;");

  test("nothing has changed", () => {
    expect(cache.find("a.ts", `${long}let a =`, `\n${long}`)).toBe(" 1;");
  });
  test("text near the cursor has changed", () => {
    expect(cache.find("a.ts", `${long.slice(0, -2)}x\nlet a =`, `\n${long}`)).toBeUndefined();
    expect(cache.find("a.ts", `${long}let a =`, `\nx${long}`)).toBeUndefined();
  });
  test("text at the ends has changed", () => {
    expect(cache.find("a.ts", `x${long.slice(1)}let a =`, `\n${long}x`)).toBe(" 1;");
  });
});
