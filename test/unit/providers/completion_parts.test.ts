import { describe, expect, test } from "vitest";
import { judgeDocument, longestDocument, type DocumentVerdict } from "../../../src/providers/document_verdict";
import { languageEnabled } from "../../../src/providers/language_switch";
import { extractAround, RecentExtracts } from "../../../src/providers/recent_extracts";

describe("documents that may be read", () => {
  const plain = {
    scheme: "file",
    inWorkspace: false,
    length: 100,
    isPrivate: false,
    isHidden: false,
    workspaceTrusted: true,
  };
  function check(traits: Partial<typeof plain>, expected: DocumentVerdict): void {
    test(`${JSON.stringify(traits)} is ${expected}`, () => {
      expect(judgeDocument({ ...plain, ...traits })).toBe(expected);
    });
  }

  check({}, "eligible");
  check({ scheme: "untitled" }, "eligible");
  check({ scheme: "vscode-remote" }, "eligible");
  check({ scheme: "vscode-vfs" }, "eligible");
  check({ scheme: "memfs" }, "scheme");
  check({ scheme: "memfs", inWorkspace: true }, "eligible");
  check({ scheme: "vscode-notebook-cell" }, "scheme");
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

describe("extracts of recent files", () => {
  const everything = (): boolean => true;

  test("the most recent come last, and no more than asked for", () => {
    const recent = new RecentExtracts();
    for (const name of ["a", "b", "c", "a"])
      recent.remember(name, `file of ${name}`, { path: name, text: `text of ${name}` });
    expect(recent.recent(2, everything).map(({ path }) => path)).toEqual(["c", "a"]);
    expect(recent.recent(9, everything).map(({ path }) => path)).toEqual(["b", "c", "a"]);
    expect(recent.recent(0, everything)).toEqual([]);
  });

  test("what is not allowed, forgotten or blank is left out", () => {
    const recent = new RecentExtracts();
    for (const name of ["a", "b", "c"]) recent.remember(name, `file of ${name}`, { path: name, text: name });
    recent.remember("b", "file of b", { path: "b", text: " \n" });
    recent.forget("file of c");
    expect(recent.recent(9, everything).map(({ path }) => path)).toEqual(["a"]);
    expect(recent.recent(9, (file) => file !== "file of a")).toEqual([]);
  });

  test("only so many are kept", () => {
    const recent = new RecentExtracts();
    for (let index = 0; index < 100; index++) recent.remember(`${index}`, "notebook", { path: `${index}`, text: "x" });
    expect(recent.recent(100, everything)).toHaveLength(32);
    expect(recent.recent(1, everything)).toEqual([{ path: "99", text: "x" }]);
    recent.forget("notebook");
    expect(recent.recent(1, everything)).toEqual([]);
  });

  const lines = Array.from({ length: 100 }, (_, index) => `l${index}`);
  const around = (of: readonly string[], line: number): string => extractAround(of.length, (at) => of[at] ?? "", line);
  function check(name: string, actual: string, first: string, last: string): void {
    test(name, () => {
      expect(actual.split("\n").at(0)).toBe(first);
      expect(actual.split("\n").at(-1)).toBe(last);
    });
  }
  check("lines on both sides", around(lines, 50), "l34", "l66");
  check("the beginning", around(lines, 0), "l0", "l16");
  check("the end", around(lines, 99), "l83", "l99");
  check("past the end", around(lines, 500), "l83", "l99");
  check("long lines", around(["a".repeat(1_500), "b".repeat(1_500)], 0), "a".repeat(1_500), "a".repeat(1_500));
});
