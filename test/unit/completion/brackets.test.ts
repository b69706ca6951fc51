import { describe, expect, test } from "vitest";
import { leadingClosers, missingClosers, withoutClosersAhead } from "../../../src/engine/completion/brackets";

describe("closers at the beginning of a text", () => {
  test.each([
    ["", ""],
    [")", ")"],
    ['"])};\n', '"])}'],
    [" )", ""],
    ["a)", ""],
  ])("%j", (text, expected) => {
    expect(leadingClosers(text)).toBe(expected);
  });
});

describe("closers a line still needs", () => {
  function check(line: string, expected: string): void {
    test(line, () => {
      expect(missingClosers(line)).toBe(expected);
    });
  }

  check("", "");
  check("foo(", ")");
  check("foo(a, [b", "])");
  check("foo(a, [b]", ")");
  check("foo(() => {", "})");
  check('foo(["', '"])');
  check('foo("(', '")');
  check('foo("\\"', '")');
  check("foo('it", "')");
  check("// don't (", ")");
  check("fn f<'a>(x: &'a str", ")");
  check("} else if (x", ")");
  check("`a ${b", "`");
});

describe("a text cut at the closers behind the cursor", () => {
  function check(line: string, text: string, ahead: string, expected: string): void {
    test(`${line}|${ahead} + ${JSON.stringify(text)}`, () => {
      expect(withoutClosersAhead(line, text, ahead)).toBe(expected);
    });
  }

  check("foo(", "a, b);", "", "a, b);");
  check("foo(", "a, b);", ")", "a, b");
  check("foo(", "a, b", ")", "a, b");
  check("foo(", "a(b), c)", ")", "a(b), c");
  check("print(foo", "(a)", ")", "(a)");
  check("if (foo(", "a)) {", "))", "a");
  check("foo(bar(", "a)", ")", "a)");
  check("foo(bar(", "a));", ")", "a)");
  check("  a,", " b);", ")", " b");
  check("foo(() => {", "\n  a();\n});", "})", "\n  a();\n");
  check('print("hel', 'lo");', '")', "lo");
  check('print("', '(");', '")', "(");
  check("a[", "0] = 1;", "]", "0");
  check("foo(", "a}", ")", "a}");
  check("", ")", ")", "");
});
