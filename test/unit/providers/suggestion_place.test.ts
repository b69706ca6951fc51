import { beforeEach, describe, expect, test, vi } from "vitest";
import type * as vscode from "vscode";
import type { RecentFiles } from "../../../src/providers/recent_files";
import { fake, Position, Range, type FakeDocument } from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

const { suggestionPlace } = await import("../../../src/providers/suggestion_place");

const noFiles = { extracts: () => [] } as unknown as RecentFiles;

/** The text of the prompt around a place, as `before|behind`. */
function around(document: FakeDocument | undefined, offset: number, item?: { range: Range; text: string }): string {
  if (!document) throw new Error("expected a document");
  const place = document.positionAt(offset);
  const { query } = suggestionPlace(
    document as unknown as vscode.TextDocument,
    place as unknown as vscode.Position,
    noFiles,
    item as unknown as vscode.SelectedCompletionInfo,
  );
  return `${query.prefix}|${query.suffix}`;
}

const python = (text: string) => ({ text, languageId: "python" });

beforeEach(() => {
  fake.reset();
});

describe("around a cell of a notebook", () => {
  test("stand the cells of its language as in one file, without blank ones", () => {
    const [, , , cell] = fake.openNotebook("/ws/a.ipynb", [
      python("import pandas as pd"),
      { text: "# Load the data", languageId: "markdown" },
      python(" \n"),
      python("data = pd."),
      python("data.head()"),
      { text: "select 1", languageId: "sql" },
      python("plot(data)"),
    ]);
    expect(around(cell, 10)).toBe("import pandas as pd\n\ndata = pd.|\n\ndata.head()\n\nplot(data)");
  });

  test("are the nearest ones, whole, where there are many", () => {
    const long = "x".repeat(20_000);
    const cells = [python(`first${long}`), python(`a${long}`), python(`b${long}`), python("y")];
    const [, , , , cell] = fake.openNotebook("/ws/a.ipynb", [...cells, python(""), ...cells.toReversed()]);
    const [before = "", after = ""] = around(cell, 0).split("|");
    expect(before).toBe(`a${long}\n\nb${long}\n\ny\n\n`);
    expect(after).toBe(`\n\ny\n\nb${long}\n\na${long}`);
  });

  test("begin where they did, however long the cell gets", () => {
    const cells = Array.from({ length: 30 }, (_, index) => python(`${String(index)}${"x".repeat(5_000)}`));
    const [cell] = fake.openNotebook("/ws/a.ipynb", [...cells, python("")]).slice(-1);
    const before = around(cell, 0).split("|")[0] ?? "";
    if (cell) cell.text = "z = 1\n".repeat(3_000);
    expect(before.length).toBeGreaterThan(40_000);
    expect(around(cell, 18_000).startsWith(before)).toBe(true);
  });

  test("stands nothing of another notebook, nor around a file", () => {
    fake.openNotebook("/ws/a.ipynb", [python("other")]);
    const [cell] = fake.openNotebook("/ws/b.ipynb", [python("own")]);
    expect(around(cell, 3)).toBe("own|");
    expect(around(fake.open("/ws/a.py", "file", "python"), 4)).toBe("file|");
  });

  test("the item of the suggest widget stands where it will", () => {
    const [, cell] = fake.openNotebook("/ws/a.ipynb", [python("a = 1"), python("print(a)"), python("b")]);
    const item = { range: new Range(new Position(0, 6), new Position(0, 7)), text: "abs" };
    expect(around(cell, 7, item)).toBe("a = 1\n\nprint(abs|)\n\nb");
  });
});
