import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type * as vscode from "vscode";
import { fake, type FakeDocument } from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

const { registerRecentFiles } = await import("../../../src/providers/recent_files");

let recent: ReturnType<typeof registerRecentFiles>;

/** The texts of the extracts for a document. */
function extracts(document: FakeDocument | undefined): string[] {
  return recent.extracts(document as unknown as vscode.TextDocument, 9).map(({ text }) => text);
}

const cell = (text: string) => ({ text, languageId: "python" });

beforeEach(() => {
  fake.reset();
  recent = registerRecentFiles();
});

afterEach(() => {
  recent.dispose();
});

describe("extracts of the files that the user was in", () => {
  test("are of other files of the same folder, as they were left", () => {
    const [a, b, other] = ["/ws/a.ts", "/ws/b.ts", "/elsewhere/c.ts"].map((path) => fake.open(path, `text of ${path}`));
    for (const document of [a, other, b, a]) fake.show(document, 0);
    expect(extracts(a)).toEqual(["text of /ws/b.ts"]);
    expect(extracts(b)).toEqual(["text of /ws/a.ts"]);
    expect(extracts(other)).toEqual([]);
  });

  test("are not of files that are private, deleted or renamed", () => {
    const documents = ["a", "b", "c", "d"].map((name) => fake.open(`/ws/${name}.ts`, name));
    for (const document of [...documents, fake.open("/ws/.env", "secret")]) fake.show(document, 0);
    const last = fake.open("/ws/e.ts", "e");
    fake.show(last, 0);
    fake.settings.set("nmos.privacy.exclude", ["**/b.ts", "**/.env"]);
    fake.removeFile("/ws/c.ts");
    fake.removeFile("/ws/d.ts", "/ws/f.ts");
    expect(extracts(last)).toEqual(["a"]);
  });

  test("are of no cell of the same notebook, which stands around as it is", () => {
    const [first, second] = fake.openNotebook("/ws/a.ipynb", [cell("one"), cell("two")]);
    const file = fake.open("/ws/b.ts", "file");
    for (const document of [first, second, file, first]) fake.show(document, 0);
    expect(extracts(first)).toEqual(["file"]);
    expect(extracts(file)).toEqual(["one", "two"]);
  });
});
