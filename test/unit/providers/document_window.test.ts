import { describe, expect, test, vi } from "vitest";
import { FakeDocument, Uri } from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

const { windowAround, windowReach } = await import("../../../src/providers/document_window");

describe("the text around the cursor", () => {
  /** Whatever is read of the document at once. */
  let longestRead = 0;

  class WatchedDocument extends FakeDocument {
    override getText(range?: Parameters<FakeDocument["getText"]>[0]): string {
      const text = super.getText(range);
      longestRead = Math.max(longestRead, text.length);
      return text;
    }
  }

  function around(text: string, offset: number): { prefix: string; suffix: string } {
    const document = new WatchedDocument(Uri.file("/ws/a.ts"), text);
    const cursor = document.positionAt(offset);
    return windowAround(...([document, cursor, cursor] as unknown as Parameters<typeof windowAround>));
  }

  test("a short document is sent whole", () => {
    expect(around("ab\ncd", 3)).toEqual({ prefix: "ab\n", suffix: "cd" });
  });

  const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}`).join("\n");

  test("a long document is cut at line starts, and no more of it is read", () => {
    longestRead = 0;
    const { prefix, suffix } = around(lines, 120_000);
    expect(prefix).toMatch(/^line \d+\n/);
    expect(longestRead).toBeLessThanOrEqual(windowReach);
    expect(lines.slice(0, 120_000).endsWith(prefix)).toBe(true);
    expect(lines.slice(120_000).startsWith(suffix)).toBe(true);
    expect(suffix.length).toBe(windowReach);
  });

  test("typing only appends to the prefix", () => {
    const typed = "const answer = 42;";
    const before = around(lines, 120_000);
    const after = around(lines.slice(0, 120_000) + typed + lines.slice(120_000), 120_000 + typed.length);
    expect(after).toEqual({ prefix: before.prefix + typed, suffix: before.suffix });
  });

  test("one endless line is cut all the same", () => {
    longestRead = 0;
    expect(around("x".repeat(200_000), 150_000).prefix.length).toBeGreaterThan(0);
    expect(longestRead).toBeLessThanOrEqual(windowReach);
  });
});
