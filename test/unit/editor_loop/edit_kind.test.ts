import { describe, expect, test } from "vitest";
import { editKind, type Change, type EditKind } from "../../../src/engine/editor_loop/edit_kind";

/** An edit at offset 10, where the cursor stands unless something else is said. */
function check(
  name: string,
  change: Partial<Change>,
  expected: EditKind,
  { cursors = [10], isHistory = false, isSelected = false, more = [] as Change[] } = {},
): void {
  test(`${name} is ${expected}`, () => {
    const changes = [{ offset: 10, removed: 0, text: "", ...change }, ...more];
    expect(editKind(changes, { isHistory, isSelected, cursors })).toBe(expected);
  });
}

describe("an edit", () => {
  check("a letter", { text: "a" }, "typed");
  check("a letter whose cursor was told of first", { text: "a" }, "typed", { cursors: [11] });
  check("a bracket and the one the editor closes it with", { text: "()" }, "typed");
  check("a line end and the indentation", { text: "\n        " }, "typed");
  check("a line end between braces", { text: "\n    \n" }, "typed");
  check("Enter on a line of nothing but indentation, which goes", { text: "\n    " }, "typed", {
    more: [{ offset: 6, removed: 4, text: "" }],
  });
  check("a letter of a tag, and of the one that closes it", { text: "a" }, "typed", {
    more: [{ offset: 40, removed: 0, text: "a" }],
  });
  check("a letter of a script of many", { text: "字" }, "typed");
  check("backspace", { offset: 9, removed: 1 }, "deleted");
  check("delete", { removed: 1 }, "deleted");
  check("a selection that goes", { offset: 4, removed: 6 }, "deleted");
  check("letters composed by an input method", { offset: 8, removed: 2, text: "ko" }, "replaced");
  check(
    "a long composition, a letter more of it",
    { offset: 0, removed: 19, text: "wo'xiang'qu'chi'fanl" },
    "replaced",
  );
  check("a long composition that becomes words", { offset: 0, removed: 19, text: "我想去吃饭" }, "replaced");
  check("a letter in the place of what is selected", { offset: 4, removed: 6, text: "a" }, "replaced", {
    isSelected: true,
  });
  check("an item of the suggest widget", { offset: 6, removed: 4, text: "printf" }, "replaced");
  check("a pasted line", { text: "const answer = 42;" }, "inserted");
  check("pasted lines", { text: "a;\nb;" }, "inserted");
  check("an accepted suggestion", { text: "return left + right;" }, "inserted");
  check("a snippet", { text: "for (;;) {\n  x\n}" }, "inserted");
  check("a snippet in the place of its trigger", { offset: 7, removed: 3, text: "for (;;) {\n  x\n}" }, "inserted");
  check("a long item of the suggest widget", { offset: 9, removed: 1, text: "addEventListener(event)" }, "inserted");
  check("a paste over what is selected", { offset: 0, removed: 20, text: "const answer = 42;" }, "inserted", {
    isSelected: true,
  });
  check("undo", { text: "a" }, "history", { isHistory: true });
  check("a file changed on disk", { offset: 500, text: "a" }, "elsewhere");
  check("formatting", { text: " " }, "elsewhere", { more: [{ offset: 40, removed: 2, text: "" }] });
  check("formatting at the cursor and elsewhere", { text: " " }, "elsewhere", {
    more: [{ offset: 4, removed: 2, text: "" }],
  });
  check("a name that is changed everywhere", { removed: 3, text: "b" }, "elsewhere", {
    more: [{ offset: 40, removed: 3, text: "b" }],
  });
  check("text in front of the cursor, but not at it", { offset: 0, removed: 3, text: "x" }, "elsewhere");
  check("a letter at two cursors", { text: "a" }, "many", {
    cursors: [10, 20],
    more: [{ offset: 20, removed: 0, text: "a" }],
  });
  check("an edit without a cursor", { text: "a" }, "elsewhere", { cursors: [] });
});

test("nothing that changed is elsewhere", () => {
  expect(editKind([], { isHistory: false, cursors: [1] })).toBe("elsewhere");
});
