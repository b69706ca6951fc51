import { describe, expect, test } from "vitest";
import { wantsSeveralLines } from "../../../src/engine/completion/multiline";

/** `|` is the cursor. */
function check(languageId: string, text: string, expected: "one" | "several"): void {
  test(`${languageId}: ${JSON.stringify(text)}`, () => {
    const [prefix = "", suffix = ""] = text.split("|");
    expect(wantsSeveralLines(prefix, suffix, languageId) ? "several" : "one").toBe(expected);
  });
}

describe("behind the opening of a block", () => {
  check("typescript", "function f() {|", "several");
  check("typescript", "function f() {|}", "several");
  check("typescript", "items.map((x) => {|});", "several");
  check("typescript", "items.map((x) =>|)", "one");
  check("typescript", "const f = (x) => |", "several");
  check("typescript", "function f() {|\n  return 1;\n}", "several");
  check("typescript", "function f() {| return 1; }", "one");
  check("typescript", "// see {|", "one");
  check("python", "def f(x):|", "several");
  check("python", "# note:|", "one");
  check("typescript", "let x:|", "one");
  check("typescript", "  case 1:|", "one");
  check("shellscript", "if true; then|", "several");
  check("ruby", "items.each do|", "several");
  check("haskell", "main = do|", "several");
});

describe("inside a line", () => {
  check("typescript", "const a = |", "one");
  check("typescript", "const a = |;", "one");
  check("typescript", "foo(|", "one");
  check("typescript", "foo(|)", "one");
  check("typescript", "const a = [|];", "one");
  check("python", "x = dict(|)", "one");
});

describe("on an empty line", () => {
  check("typescript", "|", "one");
  check("typescript", "\n\n|", "one");
  check("typescript", "function f() {\n  |", "several");
  check("typescript", "function f() {\n  |\n}", "several");
  check("typescript", "function f() {\n\n  |\n}", "several");
  check("typescript", "foo(\n  |\n)", "several");
  check("typescript", "const a = [\n  |\n];", "several");
  check("typescript", "let a = 1;\n|", "one");
  check("typescript", "}\n\n|", "one");
  check("typescript", "// Adds two numbers.\n|", "several");
  check("typescript", "/** Adds two numbers. */\n|", "several");
  check("typescript", "/**\n * Adds\n */\n|", "several");
  check("python", "def f():\n    |", "several");
  check("python", '    """Adds."""\n    |', "several");
  check("python", "# adds\n|", "several");
  check("python", "x = 1\n|", "one");
  check("c", "#include <math.h>\n|", "one");
  check("shellscript", "#!/bin/sh\n|", "one");
  check("sql", "-- all users\n|", "several");
  check("typescript", "i--\n|", "one");
});

describe("in prose and data", () => {
  check("markdown", "# Title\n|", "one");
  check("plaintext", "as follows {\n|", "one");
  check("json", "{\n  |\n}", "one");
});
