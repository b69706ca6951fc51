import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CompletionParams, CompletionResult } from "../../src/shared/completion";
import { model, startEngine, type TestEngine } from "./engine";

let engine: TestEngine;
beforeAll(() => {
  engine = startEngine();
});
afterAll(() => engine.dispose());

/** Completes at the mark. */
function complete(path: string, marked: string, changes: Partial<CompletionParams> = {}): Promise<CompletionResult> {
  const [prefix = "", suffix = ""] = marked.split("‸");
  const languageId =
    { py: "python", ts: "typescript", c: "c", sh: "shellscript" }[path.split(".")[1] ?? ""] ?? "plaintext";
  return engine.client.request("completion/complete", {
    ...{ model, path, languageId, prefix, suffix, extracts: [], lines: "auto", maxTokens: 48 },
    ...changes,
  });
}

describe("a line", () => {
  it.each<[name: string, path: string, marked: string, expected: RegExp]>([
    ["of Python", "add.py", "def add(a, b):\n    return ‸\n", /^a \+ b$/],
    ["without a blank before the cursor", "add.py", "def add(a, b):\n    return‸\n", /^ a \+ b$/],
    ["in the middle of a word", "add.py", "def add(first, second):\n    return fir‸\n", /^st \+ second$/],
    [
      "of TypeScript",
      "area.ts",
      "function area(width: number, height: number) {\n  return ‸\n}\n",
      /^width \* height;?$/,
    ],
    ["of C", "max.c", "int max(int a, int b) {\n    return ‸;\n}\n", /^\(?a > b\)? \? a : b$/],
    [
      "that the text behind the cursor calls for",
      "read.py",
      "import json\n\nwith open(‸) as file:\n    config = json.load(file)\n",
      /^["'].*json["']/,
    ],
    ["with letters of several bytes", "größe.py", "größe = 3\nbreite = 4\nfläche = grö‸ * breite\n", /^ße$/],
  ])("%s", async (_, path, marked, expected) => {
    const { text, finish } = await complete(path, marked);
    expect(text).toMatch(expected);
    expect(finish).toBe("stop");
  });

  it("does not repeat what stands behind the cursor, nor show special tokens", async () => {
    const { text } = await complete("call.py", 'print("sum:", add(1, ‸))\n');
    expect(text).not.toContain(")");
    expect(text).not.toMatch(/<\|/);
    expect(text.trim()).not.toBe("");
  });
});

it("several lines are indented as the block and end with it", async () => {
  const { text } = await complete(
    "count.py",
    'def fibonacci(n):\n    """The first n Fibonacci numbers, as a list."""\n‸\n\n\nprint(fibonacci(10))\n',
    { lines: "multi", maxTokens: 96 },
  );
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  expect(lines.length).toBeGreaterThan(1);
  expect(lines.filter((line) => !line.startsWith("    "))).toEqual([]);
  expect(text).toContain("return");
  expect(text).not.toContain("print(fibonacci(10))");
});

it("names from other files are used", async () => {
  const extracts = [{ path: "shop/tax.py", text: "def with_vat(price, rate=0.19):\n    return price * (1 + rate)\n" }];
  const marked = "from shop.tax import ‸\n";
  expect((await complete("shop/cart.py", marked, { extracts })).text).toContain("with_vat");
});

it("is the same every time, streams what it returns, and computes one more character as one more token", async () => {
  const head = `${"# a line of text that is there to be prefilled\n".repeat(20)}def multiply(a, b):\n    return`;
  const first = await complete("multiply.py", `${head}‸\n`);
  const again = await complete("multiply.py", `${head}‸\n`);
  expect(again.text).toBe(first.text);
  expect(again.usage.reusedTokens).toBeGreaterThan(again.usage.promptTokens - 3);
  const next = await complete("multiply.py", `${head} a‸\n`);
  expect(next.usage.promptTokens - next.usage.reusedTokens).toBeLessThan(6);
});

describe("computed ahead", () => {
  const source = (name: string, functions: number) =>
    Array.from(
      { length: functions },
      (_, line) => `def ${name}_${String(line)}(value):\n    return value + ${String(line)}\n`,
    );
  const place = (name: string, functions = 24) => ({
    ...{ model, path: `${name}.py`, languageId: "python", suffix: "\n", extracts: [], maxTokens: 16 },
    prefix: `${source(name, functions).join("\n")}\ndef ${name}_${String(functions)}(value):\n    return `,
  });
  const ahead = (name: string, functions?: number) =>
    engine.client.request("completion/prefill", { ...place(name, functions), reach: "whole", load: true });

  it("a suggestion computes nothing of the prompt, and it is the same", async () => {
    const params = { ...place("ahead"), lines: "single" } as const;
    const computed = await ahead("ahead");
    expect(computed?.computedTokens).toBeGreaterThan(200);
    const { text, usage } = await engine.client.request("completion/complete", params);
    expect(usage.promptTokens - usage.reusedTokens).toBeLessThanOrEqual(1);
    expect(text).toMatch(/^value \+ 24/);
  });

  it("a suggestion itself is the one that is asked for later", async () => {
    const params = { ...place("suggested"), lines: "single" } as const;
    const next = await engine.client.request("completion/ahead", params);
    expect(next?.text).toMatch(/^value \+ 24/);
    expect((await engine.client.request("completion/complete", params)).text).toBe(next?.text);
  });

  it("files that the user goes back to are still there, however many there were meanwhile", async () => {
    const files = ["one", "two", "three", "four", "five"];
    // So short that the time which may be spent on computing ahead is enough for all of them on a slow machine, too.
    const functions = 12;
    for (const name of files) expect((await ahead(name, functions))?.computedTokens).toBeGreaterThan(100);
    for (const name of files) expect((await ahead(name, functions))?.computedTokens).toBeLessThanOrEqual(1);
  });
});

it("one that is aborted leaves the next one whole", async () => {
  const marked = "def add(a, b):\n    return ‸\n";
  const before = await complete("add.py", marked);
  const controller = new AbortController();
  const [prefix = "", suffix = ""] = `${"x = 1\n".repeat(300)}def f():\n‸`.split("‸");
  const params: CompletionParams = {
    ...{ model, path: "f.py", languageId: "python", prefix, suffix, extracts: [], lines: "multi", maxTokens: 400 },
  };
  const aborted = engine.client.request("completion/complete", params, { signal: controller.signal });
  setTimeout(() => {
    controller.abort();
  }, 50);
  expect((await aborted).finish).toBe("cancelled");
  expect((await complete("add.py", marked)).text).toBe(before.text);
});
