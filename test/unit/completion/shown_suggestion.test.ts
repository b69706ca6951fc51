import { describe, expect, test } from "vitest";
import { fateOf, type Fate } from "../../../src/engine/completion/shown_suggestion";

function place(document: string, path = "a.ts") {
  const [prefix = "", suffix = ""] = document.split("|");
  return { path, prefix, suffix };
}

describe("what became of ghost text", () => {
  /** `shown` and `now` are documents with `|` at the cursor. */
  function check(shown: string, text: string, now: string, expected: Fate, path?: string): void {
    test(`${JSON.stringify(shown)} + ${JSON.stringify(text)}, now ${JSON.stringify(now)}: ${expected}`, () => {
      expect(fateOf({ ...place(shown), text }, place(now, path))).toBe(expected);
    });
  }

  check("let a|", " = 1;", "let a|", "open");
  check("let a|", " = 1;", "let a =|", "open");
  check("let a|", " = 1;", "let a = 1;|", "accepted");
  check("let a|", " = 1;", "let a = 1;\n|", "accepted");
  check("if a:|", "\n  b\n  c", "if a:\r\n  b|", "open");
  check("if a:|", "\n  b\n  c", "if a:\r\n  b\r\n  c|", "accepted");
  check("let a|", " = 1;", "let ab|", "rejected");
  check("let a|", " = 1;", "let a = 2|", "rejected");
  check("foo|", "(a)", "foo(|)", "open");
  check("let a|", " = 1;", "let |", "left");
  check("let a|", " = 1;", "x\nlet a|", "left");
  check("let a|", " = 1;", "let a|\nb", "left");
  check("let a|", " = 1;", "let a =|", "left", "b.ts");
});
