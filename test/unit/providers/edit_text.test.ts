import { describe, expect, test } from "vitest";
import {
  fitReplacement,
  relocate,
  replaceSpan,
  shiftedStart,
  type Span,
  type TextChange,
} from "../../../src/providers/edit_text";

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

  check("still there", "a\nb\nc", "b", 2, { start: 2, end: 3 });
  check("still there although there are others", "a\nb\nc\nb", "b", 2, { start: 2, end: 3 });
  check("moved", "x\na\nb\nc", "b", 2, { start: 4, end: 5 });
  check("moved and ambiguous", "x\nb\na\nb", "b", 4, undefined);
  check("the beginning of another line", "ab\nbc", "b", 0, undefined);
  check("in front of a line end of Windows", "b\r\nc", "b", 0, { start: 0, end: 1 });
  check("continued", "a\nbc", "b", 2, undefined);
  check("indented", "a\n b", "b", 2, undefined);
  check("gone", "axc", "b", 1, undefined);
  check("empty document", "", "", 0, { start: 0, end: 0 });
  check("nothing to find in a document with text", "a", "", 0, undefined);
});

test("a span is replaced", () => {
  expect(replaceSpan("abc", { start: 1, end: 2 }, "xyz")).toBe("axyzc");
});

describe("where code begins after changes", () => {
  function check(name: string, changes: [at: number, length: number, text: string][], expected: number): void {
    test(name, () => {
      const made = changes.map(([rangeOffset, rangeLength, text]): TextChange => ({ rangeOffset, rangeLength, text }));
      expect(shiftedStart(10, made)).toBe(expected);
    });
  }

  check("above", [[0, 2, "abc"]], 11);
  check("right in front", [[10, 0, "abc"]], 13);
  check("behind", [[12, 5, ""]], 10);
  check(
    "several at once",
    [
      [20, 0, "x"],
      [5, 0, "yy"],
      [0, 3, ""],
    ],
    9,
  );
  check("over the beginning", [[8, 4, "abc"]], 10);
});
