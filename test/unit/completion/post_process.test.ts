import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isComplete, postProcess } from "../../../src/engine/completion/post_process";

/** `|` is the cursor. */
function place(text: string, severalLines: boolean) {
  const [prefix = "", suffix = ""] = text.split("|");
  return { prefix, suffix, severalLines };
}

function checkWith(severalLines: boolean) {
  return (document: string, generated: string, expected: string): void => {
    test(`${JSON.stringify(document)} + ${JSON.stringify(generated)}`, () => {
      expect(postProcess(generated, place(document, severalLines))).toBe(expected);
    });
  };
}

describe("one line", () => {
  const check = checkWith(false);

  check("let a = |", "1;", "1;");
  check("let a = |", "1;\nlet b", "1;");
  check("let a = |", "1;\r\nlet b", "1;");
  check("let a = |", "1;  ", "1;");
  check("let a|", " = 1;", " = 1;");
  check("let a = |", "", "");
  check("let a = |", "  \t", "");
  check("let a = |", "\nlet b", "");
  // Control tokens that came as text.
  check("let a = |", "1;<|endoftext|>x", "1;");
  check("let a = |", "1;<|fim_pad|>", "1;");
  check("let a = |", "1;<｜end▁of▁sentence｜>", "1;");
  check("let a = |", "1;<|endof", "1;");
  check("let a = |", "f <| x", "f <| x");
  check("let a = |", "<s>x</s>", "<s>x</s>");
});

describe("what stands behind the cursor", () => {
  const check = checkWith(false);

  check("foo(|)", "a, b)", "a, b");
  check("foo(|)", "a, b);", "a, b");
  check("foo(|);", "a, b);", "a, b");
  check("foo(|)", "bar(a), b", "bar(a), b");
  check("print(foo|)", "(a)", "(a)");
  check("if (foo(|))", "a)) {", "a");
  check("foo(bar(|)", "a)", "a)");
  check('print("hel|")', 'lo")', "lo");
  check('print("hel|")', 'lo");', "lo");
  check("let a = |;", "1;", "1");
  check("let a = |;", "1", "1");
  check("foo(|, b)", "a, b)", "a");
  check("foo(|, b)", "a, b);", "a");
  check("foo(|, b)", "a,", "a");
  check("foo(|, b)", "a, ", "a");
  check("foo(|x)", "max", "max");
  check("foo(a|, x)", " + max", " + max");
  check("if (a| {", " && b) {", " && b)");
  check("let |= 1;", "a ", "a ");
  check("|foo();", "foo();", "");
  check("a[|] = 1;", "0] = 1;", "0");
});

describe("what stands above", () => {
  const check = checkWith(false);

  check("  foo(a);\n  |", "foo(a);", "");
  check("  foo(a);\n  f|", "oo(a);", "");
  check("  foo(a);\n\n  |", "foo(a);", "");
  check("  foo(a);\n  |", "foo(b);", "foo(b);");
  check("}\n|", "}", "}");
});

describe("several lines", () => {
  const check = checkWith(true);

  // To the end of the block.
  check("if (a) {|", "\n  b();\n}\nc();", "\n  b();\n}");
  check("if (a) {|", "\n  b();\n} else {\n  c();\n}\n", "\n  b();\n} else {");
  check("if a:|", "\n    b()\nc()", "\n    b()");
  check("if a:\n    |", "b()\n    c()\nd()", "b()\n    c()");
  check("if a:\n|", "    b()\n    c()\nd()", "    b()\n    c()");
  check("f() {\n  |", "a();\n  b();\n}\n", "a();\n  b();");
  check("f() {\n\t|", "a();\n\tb();\n}\n", "a();\n\tb();");
  // One block, not the next.
  check("// adds\n|", "f() {\n  a();\n}\n\ng() {\n", "f() {\n  a();\n}");
  check("// adds\n|", "\nf() {\n  a();\n}\n\ng() {\n", "\nf() {\n  a();\n}");
  check("{\n  |", "let a;\n\n  let b;", "let a;\n\n  let b;");
  check("{\n  |", "let a;\n\n\n  let b;", "let a;");
  // What stands below.
  check("if (a) {|\n}", "\n  b();\n}", "\n  b();");
  check("if (a) {|}", "\n  b();\n}", "\n  b();\n");
  check("foo(() => {|});", "\n  b();\n});", "\n  b();\n");
  check("{\n  |\n  done();\n}", "a();\n  done();\n}", "a();");
  check("{\n  |\n  done();\n}", "a();\n  done(", "a();\n  done(");
  check("{\n  |\n}", "a();\n}", "a();");
  // What repeats.
  check("{\n  |", "call(a);\n  call(a);\n  call(a);", "call(a);");
  check("{\n  |", "one();\n  two();\n  one();\n  two();\n", "one();\n  two();");
  check("[\n  |", "0,\n  0,\n  0,", "0,\n  0,\n  0,");
  // Blanks.
  check("{\n  |", "a();  \n  b();\n\n", "a();\n  b();");
  check("{\n  |", "\n  \n", "");
});

describe("a suggestion of many lines", () => {
  test("is cut", () => {
    const generated = Array.from({ length: 40 }, (_, index) => `call(${index});`).join("\n");
    expect(postProcess(generated, place("// calls\n|", true)).split("\n")).toHaveLength(16);
  });
});

describe("decoding ends", () => {
  function check(document: string, severalLines: boolean, generated: string, expected: boolean): void {
    test(`${JSON.stringify(document)} + ${JSON.stringify(generated)}: ${expected}`, () => {
      expect(isComplete(generated, place(document, severalLines))).toBe(expected);
    });
  }

  check("let a = |", false, "1;", false);
  check("let a = |", false, "1;\n", true);
  check("let a = |", false, "1;<|endoftext|>", true);
  check("foo(|)", false, "a, b", false);
  check("foo(|)", false, "a, b)", true);
  check("foo(bar(|)", false, "a)", false);
  check("if (a) {|", true, "\n  b();", false);
  check("if (a) {|", true, "\n  b();\n}", false);
  check("if (a) {|", true, "\n  b();\n}\n", true);
  check("if (a) {|}", true, "\n  b();\n}", true);
  check("if a:|", true, "\n    b()\nc()", false);
  check("if a:|", true, "\n    b()\nc()\n", true);
  check("{\n  |\n  done();", true, "a();\n  done();\n", true);
  check("{\n  |", true, "call(a);\n  call(a);\n", true);
});

describe("for any text", () => {
  const code = fc.string({
    unit: fc.constantFrom("a", "foo", " ", "\n", "  ", "(", ")", "{", "}", ";", ",", '"', "\t"),
  });
  const anyPlace = fc.record({ prefix: code, suffix: code, severalLines: fc.boolean() });

  function holds(
    name: string,
    property: (shown: string, generated: string, at: ReturnType<typeof place>) => void,
  ): void {
    test(name, () => {
      fc.assert(
        fc.property(code, anyPlace, (generated, at) => {
          property(postProcess(generated, at), generated, at);
        }),
        { numRuns: 1000 },
      );
    });
  }

  holds("nothing is made up", (shown, generated) => {
    const withoutBlanks = (text: string): string => text.replaceAll(/[^\S\n]/g, "");
    expect(withoutBlanks(generated).startsWith(withoutBlanks(shown))).toBe(true);
  });
  holds("nothing but blanks is never shown", (shown) => {
    expect(shown === "" || shown.trim() !== "").toBe(true);
  });
  holds("one line stays one", (shown, _, { severalLines }) => {
    if (!severalLines) expect(shown).not.toContain("\n");
  });
  holds("lines do not end in blanks", (shown) => {
    expect(shown).not.toMatch(/[^\S\n]\n/);
  });
  holds("the line below is not repeated", (shown, _, { suffix }) => {
    const [rest = "", ...following] = suffix.split("\n");
    const next = following.find((line) => line.trim() !== "");
    const last = shown.split("\n").slice(1).at(-1);
    if (rest.trim() === "" && next !== undefined && last !== undefined) expect(last).not.toBe(next.trimEnd());
  });
  holds("what has ended decoding is not taken back by more", (shown, generated, at) => {
    if (isComplete(generated, at)) expect(postProcess(`${generated}x`, at)).toBe(shown);
  });
});
