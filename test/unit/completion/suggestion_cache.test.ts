import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { missingClosers, withoutClosersAhead } from "../../../src/engine/completion/brackets";
import { SuggestionCache } from "../../../src/engine/completion/suggestion_cache";

function add(cache: SuggestionCache, path: string, prefix: string, suffix: string, text: string): void {
  cache.add(path, prefix, suffix, { text, confidence: null });
}

function find(cache: SuggestionCache, path: string, prefix: string, suffix: string): string | undefined {
  return cache.find(path, prefix, suffix)?.text;
}

function split(document: string): [prefix: string, suffix: string] {
  const [prefix = "", suffix = ""] = document.split("|");
  return [prefix, suffix];
}

describe("what is left of a suggestion", () => {
  /** `shown` and `now` are documents with `|` at the cursor. */
  function check(shown: string, text: string, now: string, expected: string | undefined): void {
    test(`${JSON.stringify(shown)} + ${JSON.stringify(text)}, now ${JSON.stringify(now)}`, () => {
      const cache = new SuggestionCache();
      add(cache, "a.ts", ...split(shown), text);
      expect(find(cache, "a.ts", ...split(now))).toBe(expected);
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
  add(cache, "a.ts", "let a", "", " = 1;");
  expect(find(cache, "a.ts", "let a =", "")).toBe(" 1;");
  expect(find(cache, "a.ts", "let ax", "")).toBeUndefined();
  expect(find(cache, "a.ts", "let a", "")).toBe(" = 1;");
});

test("a file does not get another's", () => {
  const cache = new SuggestionCache();
  add(cache, "a.ts", "let a", "", " = 1;");
  expect(find(cache, "b.ts", "let a", "")).toBeUndefined();
});

test("the last one for a place holds", () => {
  const cache = new SuggestionCache();
  add(cache, "a.ts", "let a", "", " = 1;");
  add(cache, "a.ts", "let a", "", " = 2;");
  expect(find(cache, "a.ts", "let a", "")).toBe(" = 2;");
});

test("the least recently used ones go when their texts take too much", () => {
  const cache = new SuggestionCache();
  const suffix = "s".repeat(500);
  const prefix = (index: number): string => `${"p".repeat(2000)}${index}\n`;
  const known = (index: number): boolean => find(cache, "a.ts", prefix(index), suffix) !== undefined;
  // Each takes 5,010 bytes and a few; 1 MiB has room for 209 of them.
  for (let index = 1; index <= 209; ++index) add(cache, "a.ts", prefix(index), suffix, "text");
  expect(known(1)).toBe(true);
  for (let index = 210; index <= 212; ++index) add(cache, "a.ts", prefix(index), suffix, "text");
  expect([1, 2, 3, 4, 5, 212].map(known)).toEqual([true, false, false, false, true, true]);
});

test("one that takes more than there is room for is there until the next one", () => {
  const cache = new SuggestionCache();
  add(cache, "a.ts", "a", "", "x".repeat(1 << 20));
  expect(find(cache, "a.ts", "ax", "")).toHaveLength((1 << 20) - 1);
  add(cache, "a.ts", "b", "", "y");
  expect(find(cache, "a.ts", "a", "")).toBeUndefined();
});

describe("far away in a long document", () => {
  const cache = new SuggestionCache();
  const long = "0123456789\n".repeat(5000);
  add(cache, "a.ts", `${long}let a`, `\n${long}`, " = 1;");

  test("nothing has changed", () => {
    expect(find(cache, "a.ts", `${long}let a =`, `\n${long}`)).toBe(" 1;");
  });
  test("text near the cursor has changed", () => {
    expect(find(cache, "a.ts", `${long.slice(0, -2)}x\nlet a =`, `\n${long}`)).toBeUndefined();
    expect(find(cache, "a.ts", `${long}let a =`, `\nx${long}`)).toBeUndefined();
  });
  test("text at the ends has changed", () => {
    expect(find(cache, "a.ts", `x${long.slice(1)}let a =`, `\n${long}x`)).toBe(" 1;");
  });
  test("text was inserted at the beginning, such as an import", () => {
    expect(find(cache, "a.ts", `import b;\n${long}let a =`, `\n${long}`)).toBe(" 1;");
  });
});

/** Every way to cut a suggestion into what was typed of it and what is left, tried one by one. */
function naiveSearch(entries: readonly [string, string, string][], prefix: string, suffix: string): Set<string> {
  const found = new Set<string>();
  for (const [before, after, text] of entries) {
    for (let length = 0; length <= text.length; ++length) {
      const [typed, rest] = [text.slice(0, length), text.slice(length)];
      if (prefix !== before + typed || (rest === "" && typed !== "")) continue;
      if (suffix === after) found.add(rest);
      for (let ahead = missingClosers(typed); ahead !== ""; ahead = ahead.slice(0, -1)) {
        const left = withoutClosersAhead(typed, rest, ahead);
        if (suffix === ahead + after && left !== "") found.add(left);
      }
    }
  }
  return found;
}

describe("a search through everything that was suggested", () => {
  const piece = fc.string({ unit: fc.constantFrom("a", "b", "(", ")", "\n"), maxLength: 4 });
  const step = fc.oneof(
    fc.record({ type: fc.constant("insert" as const), text: piece }),
    fc.record({ type: fc.constant("pair" as const), text: fc.constantFrom("()", "[]") }),
    fc.record({ type: fc.constant("delete" as const), count: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ type: fc.constant("move" as const), by: fc.integer({ min: -4, max: 4 }) }),
    fc.record({ type: fc.constant("suggest" as const), text: piece }),
    fc.record({ type: fc.constant("accept" as const), count: fc.integer({ min: 1, max: 4 }) }),
  );
  const far = fc.constantFrom("", "0123456789\n".repeat(300));

  test("finds the same, after any edits, and nothing at a place where it does not belong", () => {
    let hits = 0;
    fc.assert(
      fc.property(far, fc.array(step, { maxLength: 40 }), (beginning, steps) => {
        const cache = new SuggestionCache();
        const entries: [string, string, string][] = [];
        let [prefix, suffix] = [beginning, ""];
        for (const one of steps) {
          const known = find(cache, "a.ts", prefix, suffix);
          switch (one.type) {
            case "insert":
              prefix += one.text;
              break;
            case "pair":
              [prefix, suffix] = [prefix + one.text.charAt(0), one.text.charAt(1) + suffix];
              break;
            case "delete":
              prefix = prefix.slice(0, Math.max(beginning.length, prefix.length - one.count));
              break;
            case "move": {
              const cursor = Math.max(beginning.length, prefix.length + one.by);
              [prefix, suffix] = [(prefix + suffix).slice(0, cursor), (prefix + suffix).slice(cursor)];
              break;
            }
            case "suggest":
              add(cache, "a.ts", prefix, suffix, one.text);
              // The last one for a place holds.
              entries.splice(0, Infinity, ...entries.filter(([a, b]) => a !== prefix || b !== suffix));
              entries.push([prefix, suffix, one.text]);
              break;
            case "accept":
              prefix += known?.slice(0, one.count) ?? "";
          }
          const expected = naiveSearch(entries, prefix, suffix);
          const found = find(cache, "a.ts", prefix, suffix);
          if (found === undefined) expect(expected).toEqual(new Set());
          else expect(expected).toContain(found);
          if (found) hits += 1;
        }
      }),
      { numRuns: 500, seed: 4 },
    );
    expect(hits).toBeGreaterThan(100);
  });
});
