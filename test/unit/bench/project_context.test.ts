import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jaccard, Project, type ContextKind } from "../../../bench/completion/project_context";

const files = {
  "src/main.ts": 'import { totalOf } from "./prices";\n\nconst basket = [1, 2];\nconst sum = totalOf(basket);\n',
  "src/prices.ts": "export function totalOf(basket: number[]) {\n  return basket.length;\n}\n",
  "src/weather.ts": "export const rainfall = 3;\n\nexport const sunshine = rainfall + 1;\n",
  "src/notes.md": "basket totalOf sum",
  ".git/prices.ts": "export function totalOf() {}\n",
};

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "nmos-project-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

describe("extracts of other files", () => {
  const text = files["src/main.ts"];
  const cursor = text.indexOf("totalOf(basket)");
  const place = { file: "main.ts", prefix: text.slice(0, cursor), expected: "totalOf(basket);", suffix: "\n" };

  function check(kind: ContextKind, expected: [path: string, beginning: string][]): void {
    test(kind, () => {
      const extracts = new Project(root).extracts(kind, place);
      expect(extracts.map(({ path }) => path)).toEqual(expected.map(([path]) => path));
      for (const [index, [, beginning]] of expected.entries()) expect(extracts[index]?.text).toMatch(beginning);
    });
  }

  check("recent", [
    ["src/prices.ts", "export function totalOf"],
    ["src/weather.ts", "export const rainfall"],
  ]);
  check("similar", [["src/prices.ts", "export function totalOf"]]);
  check("declarations", [["src/prices.ts", "export function totalOf"]]);

  test("none of a file that is not in the project", () => {
    expect(new Project(root).extracts("recent", { ...place, prefix: "something else" })).toEqual([]);
  });
});

test.each([
  [["a", "b"], ["b", "c"], 1 / 3],
  [["a"], ["a"], 1],
  [["a"], [], 0],
  [[], [], 0],
])("the Jaccard index of %j and %j is %d", (a, b, expected) => {
  expect(jaccard(new Set(a), new Set(b))).toBe(expected);
});
