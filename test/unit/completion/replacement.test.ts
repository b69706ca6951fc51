import { expect, test } from "vitest";
import { mayReplace, type Replaceable } from "../../../src/engine/completion/replacement";

/** `|` is the cursor. */
function placeIn(document: string, path = "a.ts") {
  const [prefix = "", suffix = ""] = document.split("|");
  return { path, prefix, suffix };
}

const untouched = { isBegun: false, isChecked: false };

test.each<[name: string, changes: Partial<Replaceable>, now: string | undefined, path: string, expected: boolean]>([
  ["where it came", {}, "let a|\nz", "a.ts", true],
  ["with line ends of Windows", {}, "let a|\r\nz", "a.ts", true],
  ["after a part of it was typed", { isBegun: true }, "let a|\nz", "a.ts", false],
  ["after it was replaced before, or kept", { isChecked: true }, "let a|\nz", "a.ts", false],
  ["when the document has changed", {}, undefined, "a.ts", false],
  ["after a word of it was accepted", {}, "let a =|\nz", "a.ts", false],
  ["after something else was typed", {}, "let ab|\nz", "a.ts", false],
  ["after something was deleted", {}, "let |\nz", "a.ts", false],
  ["at another cursor", {}, "let |a\nz", "a.ts", false],
  ["when what follows is another text", {}, "let a|\ny", "a.ts", false],
  ["in another document", {}, "let a|\nz", "b.ts", false],
])("ghost text is replaced %s", (_, changes, now, path, expected) => {
  const shown = { ...placeIn("let a|\nz"), text: " = 1;", ...untouched, ...changes };
  expect(mayReplace(shown, now === undefined ? undefined : placeIn(now, path))).toBe(expected);
});
