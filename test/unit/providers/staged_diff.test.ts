import { describe, expect, test } from "vitest";
import { promptDiff, splitDiff } from "../../../src/providers/staged_diff";

function fileDiff(path: string, lines: number): string {
  const added = Array.from({ length: lines }, (_, index) => `+line ${index}\n`).join("");
  return `diff --git a/${path} b/${path}\nindex 1..2 100644\n--- a/${path}\n+++ b/${path}\n@@ -1 +1,${lines} @@\n${added}`;
}

describe("diffs in prompts", () => {
  function checkPaths(diff: string, expected: string[]): void {
    test(`paths ${expected.join(", ")}`, () => {
      expect(splitDiff(diff).flatMap(({ paths }) => paths)).toEqual(expected);
    });
  }

  checkPaths("", []);
  checkPaths("not a diff", []);
  checkPaths(fileDiff("a.ts", 2), ["a.ts"]);
  checkPaths(fileDiff("a.ts", 2) + fileDiff("b/c d.ts", 2), ["a.ts", "b/c d.ts"]);
  checkPaths('diff --git "a/\\303\\244" "b/\\303\\244"\n', ["\\303\\244"]);
  checkPaths("diff --git a/old.ts b/new.ts\nrename from old.ts\nrename to new.ts\n", ["old.ts", "new.ts"]);
  checkPaths("diff --git i/a.ts w/a.ts\nindex 1..2\n", ["a.ts"]);
  checkPaths("diff --git src/a.ts src/a.ts\nindex 1..2\n", ["src/a.ts"]);
  checkPaths("diff --git a/x b/y.ts b/x b/y.ts\nindex 1..2\n", ["x b/y.ts"]);
  checkPaths("diff --git a/unclear b/what\nindex 1..2\n@@ -1 +1 @@\n rename from x\n", []);
  checkPaths("diff --git a/x b/x\n+ a line with diff --git inside\n", ["x"]);

  const none = (): boolean => false;

  test("a short diff is left alone", () => {
    const diff = fileDiff("a.ts", 3) + fileDiff("b.ts", 3);
    expect(promptDiff(diff, none, 10_000)).toBe(diff);
  });

  test("private contents are left out", () => {
    const diff = fileDiff(".env", 3) + fileDiff("b.ts", 3);
    const shown = promptDiff(diff, (path) => path === ".env", 10_000);
    expect(shown).toContain("diff --git a/.env b/.env\n(contents left out)");
    expect(shown.match(/\+line 0/g)).toHaveLength(1);
  });

  function checkPrivate(name: string, diff: string): void {
    test(`private contents are left out: ${name}`, () => {
      const shown = promptDiff(`${diff}@@ -1 +1 @@\n+SECRET=1\n`, (path) => path === ".env", 10_000);
      expect(shown).not.toContain("SECRET");
    });
  }
  checkPrivate("renamed from", "diff --git a/.env b/env.txt\nrename from .env\nrename to env.txt\n");
  checkPrivate("renamed to", "diff --git a/env.txt b/.env\nrename from env.txt\nrename to .env\n");
  checkPrivate("other prefixes", "diff --git i/.env w/.env\n");
  checkPrivate("no prefixes", "diff --git .env .env\n");
  checkPrivate("a heading that cannot be read", "diff --git .env somewhere else\n");

  test("long files are cut at line ends and short ones kept whole", () => {
    const small = fileDiff("small.ts", 2);
    const shown = promptDiff(fileDiff("huge.ts", 5_000) + small + fileDiff("large.ts", 5_000), none, 4_000);
    expect(shown.length).toBeLessThanOrEqual(4_000);
    expect(shown).toContain(small);
    expect(shown).toContain("huge.ts");
    expect(shown).toContain("large.ts");
    expect(shown.match(/\(the rest is left out\)\n/g)).toHaveLength(2);
    for (const line of shown.split("\n")) expect(line).toMatch(/^(?:$|[+@(d-]|index )/);
  });

  test("every file is named however little room there is", () => {
    const shown = promptDiff(fileDiff("a.ts", 100) + fileDiff("b.ts", 100), none, 10);
    expect(splitDiff(shown).flatMap(({ paths }) => paths)).toEqual(["a.ts", "b.ts"]);
  });
});
