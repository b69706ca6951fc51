import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  earlierLines,
  firstLines,
  fimPrompt,
  lastLines,
  usualBudget,
  type FimInput,
} from "../../../src/engine/completion/fim_prompt";
import { fimFormat, type FimFormat } from "../../../src/engine/completion/fim_format";
import type { PromptPart } from "../../../src/engine/native/addon";
import { FakeModelHandle, fakeModelInfo } from "../support/fake_model_handle";

const fim = { fimPrefix: "<P>", fimSuffix: "<S>", fimMiddle: "<M>" };
const qwen = { ...fim, fimRepository: "<R>", fimSeparator: "<F>" };

const format: FimFormat = { beforeSuffix: ["<P>", "<S>"], beforePrefix: ["<M>"] };

function prompt(
  tokens: Parameters<typeof fakeModelInfo>[1],
  input: Partial<FimInput>,
  inFormat: FimFormat | null = format,
) {
  const whole: FimInput = { path: "src/a.ts", prefix: "", suffix: "", extracts: [], ...input };
  return fimPrompt(fakeModelInfo(null, tokens), inFormat, whole, usualBudget);
}

/** The prompt as text: what is not a model's own token stands in angle quotes. */
function shown(
  tokens: Parameters<typeof fakeModelInfo>[1],
  input: Partial<FimInput>,
  inFormat: FimFormat | null = format,
): string {
  const { parts, beginWith } = prompt(tokens, input, inFormat);
  return parts.map(({ text, special }) => (special ? text : `«${text}»`)).join("") + ` + ${beginWith}`;
}

describe("layout", () => {
  function check(tokens: Parameters<typeof fakeModelInfo>[1], input: Partial<FimInput>, expected: string): void {
    test(expected, () => {
      expect(shown(tokens, input)).toBe(expected);
    });
  }

  const extracts = [
    { path: "b.ts", text: "let b;" },
    { path: "c.ts", text: "let c;" },
  ];

  check(fim, {}, "<P><S><M> + ");
  check(fim, { prefix: "let a = f" }, "<P><S><M>«let a =» +  f");
  check(fim, { prefix: "a\n", suffix: "\nb" }, "<P><S>«\nb»<M>«a\n» + ");
  check(qwen, { prefix: "a\n", suffix: "\nb" }, "<F>«src/a.ts\n»<P><S>«\nb»<M>«a\n» + ");
  // Other files.
  check(
    qwen,
    { prefix: "a\n", extracts },
    "<R>«workspace\n»<F>«b.ts\nlet b;\n»<F>«c.ts\nlet c;\n»<F>«src/a.ts\n»<P><S><M>«a\n» + ",
  );
  check(
    qwen,
    { prefix: "a\n", repository: "<R>x", extracts: extracts.slice(1) },
    "<R>«<R>x\n»<F>«c.ts\nlet c;\n»<F>«src/a.ts\n»<P><S><M>«a\n» + ",
  );
  check(qwen, { prefix: "a\n", repository: "x" }, "<F>«src/a.ts\n»<P><S><M>«a\n» + ");
  check(
    { ...fim, fimSeparator: "<F>" },
    { extracts: [{ path: "b.ts", text: "let b;" }] },
    "<F>«b.ts\nlet b;\n»<F>«src/a.ts\n»<P><S><M> + ",
  );
  check(fim, { extracts }, "«// b.ts\nlet b;\n»«// c.ts\nlet c;\n»<P><S><M> + ");
  check(qwen, { extracts: [{ path: "b.ts", text: " \n" }] }, "<F>«src/a.ts\n»<P><S><M> + ");
  // Closers behind the cursor are left out, other text is not.
  check(fim, { prefix: "f(\n", suffix: ")\nb" }, "<P><S>«\nb»<M>«f(\n» + ");
  check(fim, { suffix: '"}]);\nb' }, "<P><S>«\nb»<M> + ");
  check(fim, { suffix: ")" }, "<P><S><M> + ");
  check(fim, { suffix: ", b)\nc" }, "<P><S>«, b)\nc»<M> + ");
  check(fim, { suffix: ") {\nc" }, "<P><S>«) {\nc»<M> + ");
  check(fim, { suffix: "\n})\nc" }, "<P><S>«\nc»<M> + ");
  check(fim, { suffix: ")\n  }\n};\n\nc" }, "<P><S>«\n\nc»<M> + ");
  check(fim, { suffix: "\n}" }, "<P><S><M> + ");
  check(fim, { suffix: "\n\n}\nc" }, "<P><S>«\n\n}\nc»<M> + ");
  check(fim, { suffix: "\n} else {\nc" }, "<P><S>«\n} else {\nc»<M> + ");
  // Text that looks like a model's own tokens is text.
  check(fim, { prefix: "<M>\n", suffix: "<P>" }, "<P><S>«<P>»<M>«<M>\n» + ");
});

describe("layouts of other families", () => {
  const extracts = [{ path: "b.ts", text: "let b;" }];
  const input = { prefix: "a\nlet c", suffix: "\nd", extracts };

  test("without a token for the middle", () => {
    const codestral = { beforeSuffix: ["[SUFFIX]"], beforePrefix: ["[PREFIX]"] };
    expect(shown({}, input, codestral)).toBe("«// b.ts\nlet b;\n»[SUFFIX]«\nd»[PREFIX]«a\nlet» +  c");
  });

  test("of a model that cannot fill in", () => {
    expect(shown({ fimSeparator: "<F>" }, input, null)).toBe("«// b.ts\nlet b;\n»«a\nlet» +  c");
  });
});

describe("the format of a model", () => {
  type Tokens = Parameters<typeof fakeModelInfo>[1];

  /** A model whose vocabulary has these tokens beside one for every character. */
  class Model extends FakeModelHandle {
    constructor(
      special: Tokens,
      private readonly vocabulary: readonly string[] = [],
    ) {
      super(fakeModelInfo(null, special), 4096);
    }

    override tokenize(parts: PromptPart[], options?: { addBos?: boolean }): Promise<Int32Array> {
      const [{ text } = { text: "" }] = parts;
      return this.vocabulary.includes(text) ? Promise.resolve(Int32Array.of(7)) : super.tokenize(parts, options);
    }
  }

  test.each<[name: string, model: Model, expected: FimFormat | null]>([
    ["by its metadata", new Model(fim), format],
    [
      "with no token for the middle",
      new Model({ ...fim, fimMiddle: null }),
      { beforeSuffix: ["<S>"], beforePrefix: ["<P>"] },
    ],
    [
      "by its vocabulary: Seed-Coder",
      new Model({}, ["<[fim-suffix]>", "<[fim-prefix]>", "<[fim-middle]>"]),
      { beforeSuffix: ["<[fim-suffix]>"], beforePrefix: ["<[fim-prefix]>", "<[fim-middle]>"] },
    ],
    [
      "by its vocabulary: Codestral",
      new Model({}, ["[SUFFIX]", "[PREFIX]"]),
      { beforeSuffix: ["[SUFFIX]"], beforePrefix: ["[PREFIX]"] },
    ],
    [
      "by its vocabulary, where the metadata name its tokens, too",
      new Model(fim, ["<[fim-suffix]>", "<[fim-prefix]>", "<[fim-middle]>"]),
      { beforeSuffix: ["<[fim-suffix]>"], beforePrefix: ["<[fim-prefix]>", "<[fim-middle]>"] },
    ],
    ["with some of a family's tokens only", new Model({}, ["[SUFFIX]"]), null],
    ["without any", new Model({}), null],
  ])("%s", async (_, model, expected) => {
    expect(await fimFormat(model)).toEqual(expected);
  });
});

describe("the first lines within a budget", () => {
  function check(text: string, budget: number, expected: string): void {
    test(`${JSON.stringify(text)} in ${budget}`, () => {
      expect(firstLines(text, budget)).toBe(expected);
    });
  }

  check("", 3, "");
  check("ab\nc", 4, "ab\nc");
  check("ab\nc", 3, "ab\n");
  check("ab\ncd\ne", 5, "ab\n");
  check("abcd", 3, "abc");
  check("\nabcd", 3, "\nab");
  check("abc", 0, "");
});

describe("the last lines within a budget", () => {
  const lines = (from: number, to: number): string =>
    Array.from({ length: to - from }, (_, index) => `line ${String(from + index).padStart(4, "0")}\n`).join("");

  function check(name: string, text: string, budget: number, expected: string): void {
    test(name, () => {
      expect(lastLines(text, budget)).toBe(expected);
    });
  }

  check("all of a short text", "a\nb", 3, "a\nb");
  check("from a multiple of 32", lines(0, 100), 500, lines(64, 100));
  check("the same a line later", lines(0, 101), 500, lines(64, 101));
  check("the step where it no longer fits", lines(0, 115), 500, lines(96, 115));
  check("smaller steps in a small budget", lines(0, 61), 210, lines(40, 61));
  check("single lines in a tiny budget", lines(0, 61), 25, lines(59, 61));
  check("the line of the cursor", "abcdef\nab", 5, "ab");
  check("a part of a long line", "abcdefghijklmnop", 8, "ijklmnop");
  check("the same while it grows", "abcdefghijklmnopq", 8, "klmnopq");
  check("no half of a character", "abc😀😀😀", 5, "😀😀");
});

describe("what the last lines began with before", () => {
  const lines = (from: number, to: number): string =>
    Array.from({ length: to - from }, (_, index) => `line ${String(from + index).padStart(4, "0")}\n`).join("");

  function check(name: string, text: string, budget: number, expected: string[]): void {
    test(name, () => {
      expect(earlierLines(text, budget)).toEqual(expected);
    });
  }

  check("nothing where all of the text fits", lines(0, 40), 500, []);
  check("all of a text that is hardly longer", lines(0, 60), 500, [lines(0, 60)]);
  check("the step before", lines(0, 100), 500, [lines(32, 100)]);
  check("nothing that is far more", lines(0, 115), 600, [lines(32, 115)]);
  check("two steps of a large budget", lines(0, 320), 1600, [lines(128, 320), lines(96, 320)]);
  check("nothing where a line is cut", "abcdefghijklmnop", 8, []);
});

test("typing moves the beginning of a long prefix rarely", () => {
  const text = Array.from({ length: 400 }, (_, index) => `const value${index} = ${index};`).join("\n");
  let moves = 0;
  let before = "";
  for (let cursor = 4000; cursor <= text.length; ++cursor) {
    const now = lastLines(text.slice(0, cursor), 2000);
    expect(now.length).toBeLessThanOrEqual(2000);
    if (!now.startsWith(before)) moves += 1;
    before = now;
  }
  const linesTyped = text.slice(4000).split("\n").length;
  expect(moves).toBeLessThanOrEqual(Math.ceil(linesTyped / 32));
});

test("brackets and blocks typed in an editor that closes them only append", () => {
  const below = "\n\nlet z;";
  const steps = [
    "f(|)",
    "f((|))",
    "f(() => {|})",
    "f(() => {\n  |\n})",
    "f(() => {\n  g([|])\n})",
    "f(() => {\n  g([1])\n}|)",
  ];
  const prompts = steps.map((step) => {
    const [prefix = "", suffix = ""] = step.split("|");
    return prompt(fim, { prefix, suffix: suffix + below }).parts.filter(({ text }) => !step.includes(text));
  });
  for (const parts of prompts) expect(parts).toEqual(prompts[0]);
  expect(prompts[0]?.map(({ text }) => text)).toEqual(["<P>", "<S>", below, "<M>"]);
});

test("the prompt and what the generation begins with are the text before the cursor", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("a", "b ", "\n", "(", "é", "\t") }), (prefix) => {
      const { parts, beginWith } = prompt(fim, { prefix });
      const behindMiddle = parts.slice(parts.findIndex(({ text }) => text === "<M>") + 1);
      expect(behindMiddle.map(({ text }) => text).join("") + beginWith).toBe(prefix);
    }),
  );
});
