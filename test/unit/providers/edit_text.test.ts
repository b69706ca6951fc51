import { describe, expect, test } from "vitest";
import { fitReplacement, relocate, replaceSpan, type Span } from "../../../src/providers/edit_text";

describe("generated code fitted into the place of the original", () => {
  function check(name: string, original: string, generated: string, expected: string): void {
    test(name, () => {
      expect(fitReplacement(original, generated)).toBe(expected);
    });
  }

  check("same indentation", "  a\n  b", "  c\n  d", "  c\n  d");
  check("moved to the left", "    if x:\n        y", "if x:\n    z", "    if x:\n        z");
  check("partly moved to the left", "    a", "  b", "    b");
  check("tabs", "\ta", "b\n\tc", "\tb\n\t\tc");
  check("other kind of indentation is left alone", "\ta", "  b", "  b");
  check("more indented than the original is left alone", "a", "  b", "  b");
  check("blank lines stay blank", "  a", "b\n\nc", "  b\n\n  c");
  check("blank lines around are dropped", "a", "\n\n  \nb\n\n", "b");
  check("line end at the end is kept", "a\n", "b", "b\n");
  check("line end at the end is dropped", "a", "b\n", "b");
  check("line ends of Windows", "a\r\nb", "c\r\nd\r\n", "c\nd");
  check("nothing generated", "a\n", "", "");
  check("original begins with a blank line", "\n  a", "b", "  b");
});

describe("the original in a document that has changed", () => {
  function check(name: string, text: string, original: string, start: number, expected: Span | undefined): void {
    test(name, () => {
      expect(relocate(text, original, start)).toEqual(expected);
    });
  }

  check("still there", "abc", "b", 1, { start: 1, end: 2 });
  check("still there although there are others", "abcb", "b", 1, { start: 1, end: 2 });
  check("moved", "xxabc", "b", 1, { start: 3, end: 4 });
  check("moved and ambiguous", "xxbab", "b", 1, undefined);
  check("gone", "axc", "b", 1, undefined);
  check("empty document", "", "", 0, { start: 0, end: 0 });
  check("nothing to find in a document with text", "a", "", 0, undefined);
});

test("a span is replaced", () => {
  expect(replaceSpan("abc", { start: 1, end: 2 }, "xyz")).toBe("axyzc");
});
