import { describe, expect, test } from "vitest";
import { enclosingBlock } from "../../../src/providers/enclosing_block";

describe("the block around a line", () => {
  const python = ["import os", "", "def a():", "    x = 1", "", "    return x", "", "", "def b():", "    pass"];
  const braces = ["int f(int x)", "{", "  if (x) {", "    g();", "  }", "}", "", "int h();"];
  const long = ["def f():", ...Array.from({ length: 200 }, (_, index) => `    x${index}`)];

  function check(name: string, lines: string[], line: number, first: number, last: number): void {
    test(name, () => {
      expect(enclosingBlock(lines, line)).toEqual({ first, last });
    });
  }

  check("inside a function", python, 3, 2, 5);
  check("its first line", python, 2, 2, 5);
  check("a blank line inside", python, 4, 2, 5);
  check("the next function", python, 9, 8, 9);
  check("a single line", python, 0, 0, 0);
  check("a blank line after", python, 6, 2, 6);
  check("a header above its brace", braces, 0, 0, 5);
  check("a body in braces", braces, 3, 0, 5);
  check("its closing brace", braces, 5, 0, 5);
  check("a long block", long, 100, 80, 120);
  check("the beginning of a long block", long, 5, 0, 25);
  check("nothing", [""], 0, 0, 0);
  check("only blank lines", ["", "", ""], 1, 0, 1);
});
