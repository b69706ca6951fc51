import { describe, expect, test } from "vitest";
import { noGuesses } from "../../../src/engine/guesses";
import { GhostText } from "../../../src/providers/ghost_text";
import type { Pause, SuggestionQuery } from "../../../src/providers/suggestion_source";
import type { CompletionResult } from "../../../src/shared/completion";

const { signal: never } = new AbortController();
const pause: Pause = () => Promise.resolve(true);

function query(document: string): SuggestionQuery {
  const [prefix = "", suffix = ""] = document.split("|");
  const place = { model: "auto", path: "a.ts", languageId: "typescript", prefix, suffix };
  return { ...place, extracts: [], lines: "auto", maxTokens: 96 };
}

type Checked = Partial<CompletionResult> | null;

/** An engine that answers from a table: text before the cursor, suggestion. */
class Bench {
  now = 0;
  least = 0;
  /** Mean logarithm of the probability of a suggestion's tokens, of which there are four. */
  mean = -0.1;
  allowed = true;
  readonly asked: string[] = [];
  readonly ahead: string[] = [];
  /** What another model says of a suggestion; null: it says nothing. */
  check: () => Checked | Promise<Checked> = () => null;
  /** Suggestions that were checked. */
  readonly checked: string[] = [];
  readonly ghost: GhostText;

  constructor(
    private readonly answers: Record<string, string>,
    private readonly finish: CompletionResult["finish"] = "stop",
  ) {
    this.ghost = new GhostText({
      clock: { now: () => this.now },
      complete: ({ prefix }) => {
        this.asked.push(prefix);
        return Promise.resolve(this.answer(prefix, "stop"));
      },
      completeAhead: ({ prefix }) => {
        this.ahead.push(prefix);
        return Promise.resolve(this.allowed ? this.answer(prefix, this.finish) : null);
      },
      check: async ({ prefix }, suggestion) => {
        this.checked.push(prefix + suggestion);
        const changes = await this.check();
        return changes && { ...this.answer(prefix, "stop"), ...changes };
      },
    });
  }

  /** What becomes of the suggestion at a place by a check, which ends when the document is `end`. */
  checkAt(document: string, end: string | null = document): Promise<string | null> {
    return this.ghost.check(query(document), () => (end === null ? undefined : query(end)), never);
  }

  /** What is shown in a document with `|` at the cursor. The user looks at it for so many milliseconds. */
  async at(document: string, seen = 1000): Promise<string> {
    const { text } = await this.ghost.suggest(query(document), { pause, leastProbability: this.least }, never);
    this.now += seen;
    return text;
  }

  foresee(document: string): Promise<void> {
    return this.ghost.foresee(query(document), never);
  }

  private answer(prefix: string, finish: CompletionResult["finish"]): CompletionResult {
    const usage = { promptTokens: 1, reusedTokens: 0, completionTokens: 1, queuedMs: 0, prefillMs: 0, decodeMs: 0 };
    const text = this.answers[prefix] ?? "";
    return {
      text,
      model: "m",
      finish,
      confidence: { tokens: 4, mean: this.mean, least: this.mean },
      usage: { ...usage, decodePasses: 1, ...noGuesses },
    };
  }
}

describe("a suggestion that was rejected", () => {
  test("with Escape is not shown there again, and nothing is asked", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    expect(await bench.at("let a|")).toBe(" = 1;");
    bench.ghost.reject(query("let a|"));
    expect(await bench.at("let a|")).toBe("");
    expect(bench.asked).toEqual(["let a"]);
    // Typing it says that it is wanted after all.
    expect(await bench.at("let a =|")).toBe(" 1;");
  });

  test("by typing something else is not shown there again", async () => {
    const bench = new Bench({ "let a": " = 1;", "let ab": " = 2;" });
    await bench.at("let a|");
    expect(await bench.at("let ab|")).toBe(" = 2;");
    expect(await bench.at("let a|")).toBe("");
    expect(await bench.at("let ab|")).toBe(" = 2;");
  });

  test("before it can have been seen was none", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    await bench.at("let a|", 100);
    await bench.at("let ab|");
    expect(await bench.at("let a|")).toBe(" = 1;");
  });

  test("after it was typed through for a while was seen since it came", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    for (const document of ["let a|", "let a |", "let a =|"]) await bench.at(document, 100);
    await bench.at("let a ==|");
    expect(await bench.at("let a =|")).toBe("");
    expect(await bench.at("let a|")).toBe("");
  });

  test("is shown where the user asks for it", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    await bench.at("let a|");
    bench.ghost.reject(query("let a|"));
    expect((await bench.ghost.suggest(query("let a|"), undefined, never)).text).toBe(" = 1;");
  });

  test("is not one that is at another place", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    await bench.at("let a|");
    bench.ghost.reject(query("let |a"));
    expect(await bench.at("let a|")).toBe(" = 1;");
  });
});

describe("what comes after accepting the text on the screen", () => {
  const answers = { "let a": " = [", "let a = [": "1];", "let a = [1];": "", "let a = [1];\n": "let b;" };

  test("is there at once", async () => {
    const bench = new Bench(answers);
    await bench.at("let a|");
    await bench.foresee("let a|");
    expect(await bench.at("let a = [|")).toBe("1];");
    expect([bench.asked, bench.ahead]).toEqual([["let a"], ["let a = ["]]);
  });

  test("on the next line where the line is complete", async () => {
    const bench = new Bench({ "  a": "b;", "  ab;\n  ": "c" });
    await bench.at("  a|\n}");
    await bench.foresee("  a|\n}");
    expect(bench.ahead).toEqual(["  ab;", "  ab;\n  "]);
    expect([await bench.at("  ab;|\n}"), await bench.at("  ab;\n  |\n}")]).toEqual(["", "c"]);
    expect(bench.asked).toEqual(["  a"]);
  });

  test("is not looked for on the next line where the line goes on", async () => {
    const bench = new Bench({ "f(": "a" });
    await bench.at("f(|)");
    await bench.foresee("f(|)");
    expect(bench.ahead).toEqual(["f(a"]);
  });

  test("is the next line where the line is complete as it is", async () => {
    const bench = new Bench({ "a;\n": "b;" });
    expect(await bench.at("a;|\nz")).toBe("");
    await bench.foresee("a;|\nz");
    expect(bench.ahead).toEqual(["a;\n"]);
    expect(await bench.at("a;\n|\nz")).toBe("b;");
    expect(bench.asked).toEqual(["a;"]);
  });

  test("is computed once", async () => {
    const bench = new Bench(answers);
    await bench.at("let a|");
    await bench.foresee("let a|");
    await bench.at("let a =|");
    await bench.foresee("let a =|");
    expect(bench.ahead).toEqual(["let a = ["]);
  });

  test.each<[name: string, prepare: (bench: Bench) => Promise<unknown>]>([
    ["nothing is shown", () => Promise.resolve()],
    [
      "it was rejected",
      (bench) =>
        bench.at("let a|").then(() => {
          bench.ghost.reject(query("let a|"));
        }),
    ],
    ["something else was typed", (bench) => bench.at("let a|").then(() => bench.at("let ax|"))],
    [
      "the settings have changed",
      (bench) =>
        bench.at("let a|").then(() => {
          bench.ghost.forget();
        }),
    ],
  ])("is nothing where %s", async (_, prepare) => {
    const bench = new Bench(answers);
    await prepare(bench);
    await bench.foresee("let a|");
    expect(bench.ahead).toEqual([]);
  });

  test("is nothing where the cursor is elsewhere", async () => {
    const bench = new Bench(answers);
    await bench.at("let a|");
    await bench.foresee("let |a");
    expect(bench.ahead).toEqual([]);
  });

  test("is asked for again where it was not allowed or ended", async () => {
    for (const [bench, allowed] of [
      [new Bench(answers), false],
      [new Bench(answers, "cancelled"), true],
    ] as const) {
      bench.allowed = allowed;
      await bench.at("let a|");
      await bench.foresee("let a|");
      expect(bench.ahead).toEqual(["let a = ["]);
      expect(await bench.at("let a = [|")).toBe("1];");
      expect(bench.asked).toEqual(["let a", "let a = ["]);
    }
  });
});

describe("a suggestion that is probably wrong", () => {
  /** They make probabilities of 0.64 and 0.04. */
  const [likely, unlikely] = [-0.1, -0.6];

  test("is not shown, unless the user asks for it or wants to see it", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    bench.mean = unlikely;
    bench.least = 0.5;
    const unasked = { pause, leastProbability: 0.5 };
    const withheld = await bench.ghost.suggest(query("let a|"), unasked, never);
    expect(withheld).toEqual({ text: "", withheld: "unlikely" });
    bench.least = 0;
    expect(await bench.at("let a|")).toBe(" = 1;");
    expect((await bench.ghost.suggest(query("let a|"), undefined, never)).text).toBe(" = 1;");
    expect(bench.asked).toEqual(["let a"]);
  });

  test("is shown once enough of it was typed", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    bench.mean = unlikely;
    bench.least = 0.1;
    expect([await bench.at("let a|"), await bench.at("let a = 1|")]).toEqual(["", ";"]);
  });

  test("stays once it was shown", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    expect(await bench.at("let a|")).toBe(" = 1;");
    bench.least = 0.999;
    expect(await bench.at("let a |")).toBe("= 1;");
  });

  test("of which the first line was accepted counts as accepted", async () => {
    const lines = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`${String(index)}:`, "\n  a\n  b"]));
    const bench = new Bench({ ...lines, "let a": " = 1;" });
    for (const prefix of Object.keys(lines)) {
      bench.mean = likely;
      await bench.at(`${prefix}|`);
      await bench.at(`${prefix}\n  a|`);
      await bench.at("|");
    }
    bench.mean = -0.35;
    bench.least = 0.35;
    expect(await bench.at("let a|")).toBe(" = 1;");
  });

  test("is thought neither more nor less probable by who is elsewhere, such as at other items of the completion list", async () => {
    const bench = new Bench({ a: "b", c: "b" });
    bench.mean = -0.35;
    const shown: string[] = [];
    for (let i = 0; i < 60; i++) shown.push(await bench.at(i % 2 === 0 ? "a|" : "c|"));
    bench.least = 0.1;
    bench.ghost.forget();
    shown.push(await bench.at("a|"));
    expect(new Set(shown)).toEqual(new Set(["b"]));
  });

  test("is thought more probable by users who accept much, and less by those who reject much", async () => {
    const answers = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`${String(index)}: `, "yes"]));
    const shownAfter = async (typed: string, seen: number, least: number): Promise<string> => {
      const bench = new Bench({ ...answers, "let a": " = 1;" });
      for (const prefix of Object.keys(answers)) {
        bench.mean = likely;
        await bench.at(`${prefix}|`, seen);
        await bench.at(`${prefix}${typed}|`);
      }
      // 0.21 by itself.
      bench.mean = -0.35;
      bench.least = least;
      return bench.at("let a|");
    };
    expect([await shownAfter("yes", 1000, 0.35), await shownAfter("no", 1000, 0.15)]).toEqual([" = 1;", ""]);
    // Before anybody can have seen them, those that are right count only.
    expect([await shownAfter("yes", 100, 0.35), await shownAfter("no", 100, 0.15)]).toEqual([" = 1;", " = 1;"]);
  });
});

describe("a suggestion that another model checks", () => {
  const says =
    (text: string): Bench["check"] =>
    () => ({ text });

  test("becomes what that one suggests, once", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    bench.check = says(" = 2;");
    expect(await bench.at("let a|")).toBe(" = 1;");
    expect(await bench.checkAt("let a|")).toBe(" = 2;");
    // The editor asks again, as if the user had.
    expect((await bench.ghost.suggest(query("let a|"), undefined, never)).text).toBe(" = 2;");
    bench.check = says(" = 3;");
    expect(await bench.checkAt("let a|")).toBeNull();
    expect(await bench.at("let a = |")).toBe("2;");
    expect(await bench.checkAt("let a = |")).toBeNull();
    expect([bench.asked, bench.checked]).toEqual([["let a"], ["let a = 1;"]]);
  });

  test("stays where that one suggests the same, and is not checked again there", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    bench.check = says(" = 1;");
    await bench.at("let a|");
    expect(await bench.checkAt("let a|")).toBeNull();
    await bench.at("let |");
    expect(await bench.at("let a|")).toBe(" = 1;");
    expect(await bench.checkAt("let a|")).toBeNull();
    expect(bench.checked).toEqual(["let a = 1;"]);
  });

  test("goes where that one suggests nothing, and was not rejected then", async () => {
    const bench = new Bench({ "let a": " = 1;", "let ab": "c" });
    bench.check = says("");
    await bench.at("let a|");
    expect(await bench.checkAt("let a|")).toBe("");
    expect((await bench.ghost.suggest(query("let a|"), undefined, never)).text).toBe("");
    await bench.at("let ab|");
    bench.ghost.forget();
    expect(await bench.at("let a|")).toBe(" = 1;");
  });

  test.each<[name: string, Bench["check"]]>([
    ["is not to be had", () => null],
    ["was called off", () => ({ text: " = 2;", finish: "cancelled" })],
  ])("stays where the answer %s, and is checked later", async (_, check) => {
    const bench = new Bench({ "let a": " = 1;" });
    bench.check = check;
    await bench.at("let a|");
    expect(await bench.checkAt("let a|")).toBeNull();
    expect(await bench.at("let a|")).toBe(" = 1;");
    bench.check = says(" = 2;");
    expect(await bench.checkAt("let a|")).toBe(" = 2;");
  });

  /** What the user does while it is checked, and what is shown at the place later. */
  test.each<[name: string, end: string | null, act: (bench: Bench) => unknown, later: string]>([
    ["a character of it was typed", "let a |", (bench) => bench.at("let a |"), " = 1;"],
    ["a word of it was accepted, which is not told", "let a =|", () => undefined, " = 1;"],
    ["something else was typed", "let ab|", (bench) => bench.at("let ab|"), ""],
    ["the document has changed", null, () => undefined, " = 1;"],
    ["it was rejected", "let a|", rejectAt("let a|"), ""],
    ["the settings have changed", "let a|", forget, " = 1;"],
  ])("is not replaced when meanwhile %s", async (_, end, act, later) => {
    const bench = new Bench({ "let a": " = 1;", "let ab": " = 1;" });
    bench.check = async () => {
      await act(bench);
      return { text: " = 2;" };
    };
    await bench.at("let a|");
    expect(await bench.checkAt("let a|", end)).toBeNull();
    expect(bench.checked).toEqual(["let a = 1;"]);
    expect(await bench.at("let a|")).toBe(later);
  });

  test("is not checked when some of it was typed or accepted", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    bench.check = says(" = 2;");
    await bench.at("let a|");
    await bench.at("let a |");
    expect(await bench.checkAt("let a |")).toBeNull();
    await bench.at("let a|");
    expect(await bench.checkAt("let a =|")).toBeNull();
    expect(bench.checked).toEqual([]);
  });

  test("counts as what it became, which is not shown there again when it was rejected", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    bench.check = says(" = 2;");
    await bench.at("let a|");
    await bench.checkAt("let a|");
    await bench.ghost.suggest(query("let a|"), undefined, never);
    bench.ghost.reject(query("let a|"));
    bench.ghost.forget();
    expect(await bench.at("let a|")).toBe(" = 1;");
    expect(await bench.checkAt("let a|")).toBeNull();
    expect(await bench.at("let a|")).toBe(" = 1;");
    expect(bench.checked).toEqual(["let a = 1;", "let a = 1;"]);
  });

  test("cannot have been seen before it was replaced", async () => {
    const bench = new Bench({ "let a": " = 1;" });
    bench.check = says(" = 2;");
    await bench.at("let a|");
    await bench.checkAt("let a|");
    await bench.ghost.suggest(query("let a|"), undefined, never);
    await bench.at("let ab|");
    expect(await bench.at("let a|")).toBe(" = 2;");
  });
});

function rejectAt(document: string): (bench: Bench) => void {
  return ({ ghost }) => {
    ghost.reject(query(document));
  };
}

function forget({ ghost }: Bench): void {
  ghost.forget();
}
