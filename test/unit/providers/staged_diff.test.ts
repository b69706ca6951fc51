import { describe, expect, test } from "vitest";
import { promptDiff, splitDiff } from "../../../src/providers/staged_diff";

function fileDiff(path: string, lines: number): string {
  const added = Array.from({ length: lines }, (_, index) => `+line ${index}\n`).join("");
  return `diff --git a/${path} b/${path}\nindex 1..2 100644\n--- a/${path}\n+++ b/${path}\n@@ -1 +1,${lines} @@\n${added}`;
}

describe("diffs in prompts", () => {
  function checkPaths(diff: string, expected: string[]): void {
    test(`paths ${expected.join(", ")}`, () => {
      expect(splitDiff(diff).map(({ path }) => path)).toEqual(expected);
    });
  }

  checkPaths("", []);
  checkPaths("not a diff", []);
  checkPaths(fileDiff("a.ts", 2), ["a.ts"]);
  checkPaths(fileDiff("a.ts", 2) + fileDiff("b/c d.ts", 2), ["a.ts", "b/c d.ts"]);
  checkPaths('diff --git "a/\\303\\244" "b/\\303\\244"\n', ["\\303\\244"]);
  checkPaths("diff --git a/old.ts b/new.ts\nrename from old.ts\nrename to new.ts\n", ["new.ts"]);
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
    expect(splitDiff(shown).map(({ path }) => path)).toEqual(["a.ts", "b.ts"]);
  });
});
