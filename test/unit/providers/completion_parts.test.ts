import { describe, expect, test } from "vitest";
import { Debounce } from "../../../src/providers/debounce";
import { judgeDocument, longestDocument, type DocumentVerdict } from "../../../src/providers/document_verdict";
import { windowAround, windowReach } from "../../../src/providers/document_window";
import { languageEnabled } from "../../../src/providers/language_switch";
import { extractAround, RecentExtracts } from "../../../src/providers/recent_extracts";

describe("documents that may be read", () => {
  const plain = { scheme: "file", length: 100, isPrivate: false, isHidden: false, workspaceTrusted: true };
  function check(traits: Partial<typeof plain>, expected: DocumentVerdict): void {
    test(`${JSON.stringify(traits)} is ${expected}`, () => {
      expect(judgeDocument({ ...plain, ...traits })).toBe(expected);
    });
  }

  check({}, "eligible");
  check({ scheme: "untitled" }, "eligible");
  check({ scheme: "vscode-remote" }, "eligible");
  check({ scheme: "vscode-vfs" }, "eligible");
  check({ scheme: "vscode-notebook-cell" }, "eligible");
  check({ scheme: "git" }, "scheme");
  check({ scheme: "output" }, "scheme");
  check({ scheme: "nmos-edit" }, "scheme");
  check({ isPrivate: true }, "private");
  check({ isHidden: true }, "hidden");
  check({ workspaceTrusted: false }, "untrusted");
  check({ workspaceTrusted: false, isPrivate: true }, "untrusted");
  check({ length: longestDocument }, "eligible");
  check({ length: longestDocument + 1 }, "too large");
});

describe("languages with ghost text", () => {
  function check(languages: Record<string, boolean>, language: string, expected: boolean): void {
    test(`${JSON.stringify(languages)} ${language}`, () => {
      expect(languageEnabled(languages, language)).toBe(expected);
    });
  }

  check({}, "c", true);
  check({ "*": false }, "c", false);
  check({ "*": false, c: true }, "c", true);
  check({ "*": true, c: false }, "c", false);
  check({ "*": true, c: false }, "cpp", true);
  check({ "*": false }, "constructor", false);
});

describe("the wait after a keystroke", () => {
  function check(outcomes: ("answered" | "superseded")[], base: number, expected: number): void {
    test(`${outcomes.join(" ") || "nothing yet"}: ${base} becomes ${expected}`, () => {
      const debounce = new Debounce();
      for (const outcome of outcomes) debounce.record(outcome);
      expect(debounce.delay(base)).toBe(expected);
    });
  }

  check([], 40, 40);
  check(["answered", "answered"], 40, 40);
  check(["superseded"], 40, 55);
  check(Array<"superseded">(8).fill("superseded"), 40, 160);
  check(Array<"superseded">(99).fill("superseded"), 40, 160);
  check([...Array<"superseded">(8).fill("superseded"), ...Array<"answered">(8).fill("answered")], 40, 40);
  check(["superseded"], 0, 0);
});

describe("the text around the cursor", () => {
  test("a short document is sent whole", () => {
    expect(windowAround("ab\ncd", 3)).toEqual({ prefix: "ab\n", suffix: "cd" });
  });

  const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}`).join("\n");

  test("a long document is cut at line starts", () => {
    const { prefix, suffix } = windowAround(lines, 120_000);
    expect(prefix).toMatch(/^line \d+\n/);
    expect(prefix.length).toBeLessThanOrEqual(windowReach);
    expect(lines.slice(0, 120_000).endsWith(prefix)).toBe(true);
    expect(lines.slice(120_000).startsWith(suffix)).toBe(true);
    expect(suffix.length).toBe(windowReach);
  });

  test("typing only appends to the prefix", () => {
    const typed = "const answer = 42;";
    const before = windowAround(lines, 120_000);
    const after = windowAround(lines.slice(0, 120_000) + typed + lines.slice(120_000), 120_000 + typed.length);
    expect(after).toEqual({ prefix: before.prefix + typed, suffix: before.suffix });
  });

  test("one endless line is cut all the same", () => {
    const { prefix } = windowAround("x".repeat(200_000), 150_000);
    expect(prefix.length).toBeGreaterThan(0);
    expect(prefix.length).toBeLessThanOrEqual(windowReach);
  });
});

describe("extracts of recent files", () => {
  const everything = (): boolean => true;

  test("the most recent come last, and no more than asked for", () => {
    const recent = new RecentExtracts();
    for (const name of ["a", "b", "c", "a"]) recent.remember(name, { path: name, text: `text of ${name}` });
    expect(recent.recent(2, everything).map(({ path }) => path)).toEqual(["c", "a"]);
    expect(recent.recent(9, everything).map(({ path }) => path)).toEqual(["b", "c", "a"]);
    expect(recent.recent(0, everything)).toEqual([]);
  });

  test("what is not allowed, forgotten or blank is left out", () => {
    const recent = new RecentExtracts();
    for (const name of ["a", "b", "c"]) recent.remember(name, { path: name, text: name });
    recent.remember("b", { path: "b", text: " \n" });
    recent.forget("c");
    expect(recent.recent(9, everything).map(({ path }) => path)).toEqual(["a"]);
    expect(recent.recent(9, (key) => key !== "a")).toEqual([]);
  });

  test("only so many are kept", () => {
    const recent = new RecentExtracts();
    for (let index = 0; index < 100; index++) recent.remember(`${index}`, { path: `${index}`, text: "x" });
    expect(recent.recent(100, everything)).toHaveLength(32);
    expect(recent.recent(1, everything)).toEqual([{ path: "99", text: "x" }]);
  });

  const lines = Array.from({ length: 100 }, (_, index) => `l${index}`);
  function check(name: string, actual: string, first: string, last: string): void {
    test(name, () => {
      expect(actual.split("\n").at(0)).toBe(first);
      expect(actual.split("\n").at(-1)).toBe(last);
    });
  }
  check("lines on both sides", extractAround(lines, 50), "l34", "l66");
  check("the beginning", extractAround(lines, 0), "l0", "l16");
  check("the end", extractAround(lines, 99), "l83", "l99");
  check("past the end", extractAround(lines, 500), "l83", "l99");
  check("long lines", extractAround(["a".repeat(1_500), "b".repeat(1_500)], 0), "a".repeat(1_500), "a".repeat(1_500));
});
