import { describe, expect, test } from "vitest";
import { placeOf, withoutIndent } from "../../../bench/peers/llama_vscode";
import { replay, rightCharacters } from "../../../bench/replay/replay";
import { applyEdit, timedEdits, typedFrom, type TraceEdit } from "../../../bench/replay/trace";

const edit = (at: number, position: number, inserted: string, deleted = 0): TraceEdit => ({
  at,
  position,
  deleted,
  inserted,
});

test("edits of a second are spread over it, and long pauses are cut", () => {
  const txn = (second: number, position: number) => ({
    time: new Date(second * 1000).toISOString(),
    patches: [[position, 0, "x"]] as [number, number, string][],
  });
  const edits = timedEdits({ txns: [txn(10, 0), txn(10, 1), txn(11, 2), txn(60, 3)] }, 4000);
  expect(edits.map(({ at }) => at)).toEqual([0, 500, 1000, 5000]);
});

test("an edit replaces text", () => {
  expect(applyEdit("let a;", edit(0, 4, "bc", 1))).toBe("let bc;");
});

describe("what is typed next", () => {
  test.each<[name: string, edits: TraceEdit[], expected: string]>([
    ["key by key", [edit(0, 3, "a"), edit(1, 4, "b")], "ab"],
    ["until something is deleted", [edit(0, 3, "a"), edit(1, 3, "", 1)], "a"],
    ["until the cursor moves", [edit(0, 3, "a"), edit(1, 9, "b")], "a"],
    ["nothing where the next edit is elsewhere", [edit(0, 9, "a")], ""],
  ])("%s", (_, edits, expected) => {
    expect(typedFrom(edits, 0, 3)).toBe(expected);
  });
});

describe("characters of a suggestion that are right", () => {
  test.each<[suggestion: string, typed: string, expected: number]>([
    ["a + b", "a + b;", 5],
    ["a + c", "a + b;", 0],
    ["a\nb", "a\nb\n", 3],
    ["a\nc", "a\nb\n", 1],
    ["a + b", "a +", 0],
  ])("%j, typed %j: %i", (suggestion, typed, expected) => {
    expect(rightCharacters(suggestion, typed)).toBe(expected);
  });
});

test("the place of a cursor for llama-server", () => {
  const text = "a\nb\n  let x = ;\nc\n";
  expect(placeOf({ text, cursor: text.indexOf(";") })).toEqual({
    input_prefix: "a\nb\n",
    input_suffix: ";\nc\n\n",
    prompt: "  let x = ",
    n_indent: 2,
  });
  expect(placeOf({ text: "a\n  ", cursor: 4 })).toMatchObject({ input_prefix: "a\n", prompt: "", n_indent: 2 });
});

test.each<[before: string, completion: string, expected: string]>([
  ["a\n  ", "    b", "  b"],
  ["a\n    ", "  b", "b"],
  ["\t", "\tb", "b"],
  ["a ", " b", " b"],
])("behind %j, %j is %j", (before, completion, expected) => {
  expect(withoutIndent(completion, { text: before, cursor: before.length })).toBe(expected);
});

test("a replay records what was on the screen in its pauses", async () => {
  const edits = [edit(0, 0, "a"), edit(400, 1, "b"), edit(401, 2, "c"), edit(801, 3, "d"), edit(1201, 0, "e")];
  const seen: string[] = [];
  const pauses = await replay("", edits, (show) => ({
    silence: "empty",
    edited({ text }) {
      seen.push(text);
      if (text === "a") show("bc");
      if (text === "abc") show("x");
    },
    moved({ cursor }) {
      seen.push(`moved to ${String(cursor)}`);
    },
    stop: () => Promise.resolve(),
  }));
  expect(seen).toEqual(["a", "ab", "abc", "abcd", "moved to 0", "eabcd"]);
  expect(
    pauses.map(({ shownAfter, silence, isRight, savedCharacters }) => [
      shownAfter === null ? silence : "shown",
      isRight,
      savedCharacters,
    ]),
  ).toEqual([
    ["shown", true, 1],
    ["shown", false, 0],
    ["empty", false, 0],
  ]);
});
