import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { healPrefix } from "../../../src/engine/completion/token_healing";

describe("what is taken off the prompt", () => {
  function check(prefix: string, beginWith: string): void {
    test(JSON.stringify(prefix), () => {
      expect(healPrefix(prefix)).toEqual({ head: prefix.slice(0, prefix.length - beginWith.length), beginWith });
    });
  }

  check("", "");
  check("pri", "pri");
  check("x = fo", " fo");
  check("x =", " =");
  check("x = ", " ");
  check("return  x", "  x");
  check("foo(", "(");
  check("foo(bar", "bar");
  check("foo.bar", "bar");
  check("a && !b", "b");
  check("a && !", " !");
  check("snake_case_na", "snake_case_na");
  check("$el", "$el");
  check("x1", "x1");
  check('print("', '("');
  check('print("hel', "hel");
  // Indentation goes with the word behind it; a line end stays.
  check("{\n    ret", "    ret");
  check("{\n    ", "    ");
  check("{\n\tret", "\tret");
  check("{\n\t\t", "\t\t");
  check("{\n", "");
  check("{\n\n", "");
  check("{\r\n", "");
  check("{\r\n  a", "  a");
  check("{\r\n  ", "  ");
  check("\n", "");
  check("   ", "   ");
  // Words of every script, with what combines.
  check("let größe", " größe");
  check("let naïve", " naïve");
  check("x = 变量", " 变量");
  check("x = 😀", " 😀");
  check("x = 😀😀", " 😀😀");
  check("a\u00a0b", "\u00a0b");
  check("हिन्दी", "हिन्दी");
  // What is longer than any word is left whole.
  check("k = " + "a".repeat(46), " " + "a".repeat(46));
  check("k = " + "a".repeat(48), "a".repeat(48));
  check("{\n" + " ".repeat(44) + "return", "return");
  check("k =\n" + "a".repeat(48), "a".repeat(48));
  check("k =\n" + "a".repeat(49), "");
  check("k =\n" + " ".repeat(60), "");
  check("😀".repeat(25), "");
});

test("nothing of the text is lost, and no character is cut in two", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.oneof(fc.constantFrom("a", " ", "\n", "\t", "(", "😀"), fc.string()) }),
      (prefix) => {
        const { head, beginWith } = healPrefix(prefix);
        expect(head + beginWith).toBe(prefix);
        expect(beginWith).not.toMatch(/[\r\n]|^[\uDC00-\uDFFF]/);
      },
    ),
  );
});
