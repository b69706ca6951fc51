import { describe, expect, test } from "vitest";
import { RejectedSuggestions } from "../../../src/engine/completion/rejected_suggestions";

const suggestion = (prefix: string, text: string, path = "a.ts") => ({ path, prefix, text });

describe("a suggestion that was rejected", () => {
  function check(rejected: [string, string], now: [string, string, string?], expected: boolean): void {
    test(`${JSON.stringify(rejected)}, now ${JSON.stringify(now)}: ${expected ? "not shown" : "shown"}`, () => {
      const rejections = new RejectedSuggestions();
      rejections.add(suggestion(...rejected));
      expect(rejections.has(suggestion(...now))).toBe(expected);
    });
  }
  const above = "function f() {\n  return 1;\n}\n\n";

  check(["let a", " = 1;"], ["let a", " = 1;"], true);
  check(["let a", " = 1;"], ["let a", " = 2;"], false);
  check(["let a", " = 1;"], ["let b", " = 1;"], false);
  check(["let a", " = 1;"], ["let a", " = 1;", "b.ts"], false);
  check(["let a", " = 1;"], ["let a", " = 1;\nlet b;"], false);
  // Typed in agreement, and deleted again.
  check(["let a", " = 1;"], ["let a =", " 1;"], false);
  check(["let a =", " 1;"], ["let a", " = 1;"], true);
  // The text before it.
  check([`${above}let a`, " = 1;"], [`\n\n${above}let a`, " = 1;"], true);
  check([`${above}let a`, " = 1;"], [`${above.replace("\n", "\n\t")}let a`, " = 1;"], true);
  check([`${above}let a`, " = 1;"], [`${above.replace("1", "2")}let a`, " = 1;"], false);
  check([`x${"y".repeat(100)}`, "z"], ["y".repeat(100), "z"], true);
  // At the beginning of the document there is less of it, and that is all there may be.
  check(["let a", " = 1;"], ["x let a", " = 1;"], false);
  check(["", "let a = 1;"], [above, "let a = 1;"], false);
  check(["", "let a = 1;"], ["\n\n", "let a = 1;"], true);
  check([above, "let a = 1;"], [`${above}${above}`, "let a = 1;"], false);
  check([`${" ".repeat(2000)}let a`, " = 1;"], [`x${" ".repeat(2000)}let a`, " = 1;"], true);
});

test("the oldest of a hundred is forgotten", () => {
  const rejections = new RejectedSuggestions();
  const one = (index: number) => suggestion(`line ${String(index)};`, "text");
  for (let index = 0; index <= 100; ++index) rejections.add(one(index));
  expect([0, 1, 100].map((index) => rejections.has(one(index)))).toEqual([false, true, true]);
});
