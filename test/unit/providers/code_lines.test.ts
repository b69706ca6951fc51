import { describe, expect, test } from "vitest";
import { indentation, lastLineOf } from "../../../src/providers/code_lines";

describe("the indentation of a line", () => {
  function check(line: string, expected: string): void {
    test(JSON.stringify(line), () => {
      expect(indentation(line)).toBe(expected);
    });
  }

  check("", "");
  check("a", "");
  check("  a b", "  ");
  check("\t a", "\t ");
  check("   ", "   ");
});

describe("the last line of a selection", () => {
  function check(name: string, start: number, end: [line: number, character: number], expected: number): void {
    test(name, () => {
      expect(lastLineOf({ start: { line: start }, end: { line: end[0], character: end[1] } })).toBe(expected);
    });
  }

  check("within one line", 2, [2, 5], 2);
  check("over several", 2, [4, 1], 4);
  check("up to the start of the next", 2, [3, 0], 2);
  check("empty, at the start of a line", 2, [2, 0], 2);
});
