import { describe, expect, test } from "vitest";
import { completeCode, prefillCompletion } from "../../../src/engine/completion/complete_code";
import type { CompletionParams } from "../../../src/shared/completion";
import { FakeModelHandle, fakeModelInfo } from "../support/fake_model_handle";

const info = fakeModelInfo(null, { fimPrefix: "<P>", fimSuffix: "<S>", fimMiddle: "<M>" });

function model(text: string, finish: "stop" | "length" | "cancelled" = "stop", contextLength = 4096): FakeModelHandle {
  return new FakeModelHandle(info, contextLength, { text, finish });
}

/** `|` in the document is the cursor. */
async function complete(fake: FakeModelHandle, document: string, given: Partial<CompletionParams> = {}) {
  const [prefix = "", suffix = ""] = document.split("|");
  const pieces: string[] = [];
  const result = await completeCode(
    fake,
    {
      model: "auto",
      path: "a.ts",
      languageId: "typescript",
      prefix,
      suffix,
      extracts: [],
      lines: "auto",
      maxTokens: 64,
      ...given,
    },
    { signal: new AbortController().signal, onText: (text) => pieces.push(text) },
  );
  return { result, streamed: pieces.join(""), call: fake.calls[0] };
}

test("what the model is asked for", async () => {
  const { call } = await complete(model("1;"), "let a = f|\nlet b;");
  expect(call).toMatchObject({
    prompt: "<P><S>\nlet b;<M>let a =",
    beginWith: " f",
    priority: "suggest",
    maxTokens: 64,
    stop: ["\n"],
    sampler: undefined,
  });
});

test("at the start of a file a model without tokens of its own is asked for what follows the text as it is", async () => {
  const plain = () => new FakeModelHandle(fakeModelInfo(null), 4096, { text: "nt(1)", finish: "stop" });
  const { call, result } = await complete(plain(), "pri|");
  expect(call).toMatchObject({ prompt: "pri", beginWith: "" });
  expect(result.text).toBe("nt(1)");
  const empty = await complete(plain(), "|\nlet b;");
  expect(empty.call).toBeUndefined();
  expect(empty.result).toMatchObject({ text: "", finish: "stop" });
  const { call: begun } = await complete(new FakeModelHandle(fakeModelInfo(null, { bos: "<B>" }), 4096), "pri|");
  expect(begun).toMatchObject({ prompt: "<B>", beginWith: "pri" });
});

test("what comes back", async () => {
  const { result } = await complete(model("1;"), "let a = |");
  expect(result).toEqual({
    text: "1;",
    finish: "stop",
    confidence: { tokens: 2, mean: -0.25, least: -1 },
    usage: {
      promptTokens: 16,
      reusedTokens: 2,
      completionTokens: 2,
      queuedMs: 1,
      prefillMs: 2,
      decodeMs: 3,
      decodePasses: 4,
      draftedTokens: 6,
      acceptedTokens: 5,
      draftModelTokens: 3,
      acceptedDraftModelTokens: 2,
      savedMs: 7,
    },
  });
});

describe("text shown, text streamed, and why it ended", () => {
  function check(
    name: string,
    fake: FakeModelHandle,
    document: string,
    given: Partial<CompletionParams>,
    expected: [string, string, string],
  ): void {
    test(name, async () => {
      const { result, streamed } = await complete(fake, document, given);
      expect([result.text, streamed, result.finish]).toEqual(expected);
    });
  }

  check("the model's end", model("1;"), "let a = |", {}, ["1;", "1;", "stop"]);
  check("a line", model("1;\nlet b"), "let a = |", {}, ["1;", "1;", "stop"]);
  check("a line wanted", model("\n  a();\n}\nb"), "if (a) {|", { lines: "single" }, ["", "", "stop"]);
  check("a block", model("\n  a();\n}\nb();\nc();"), "if (a) {|", {}, ["\n  a();\n}", "\n  a();\n}\n", "stop"]);
  check("lines wanted", model("1;\nlet b;"), "let a = |", { lines: "multi" }, ["1;", "1;\nlet b;", "stop"]);
  check("brackets behind the cursor", model("a, b); foo("), "foo(|)", {}, ["a, b", "a, b)", "stop"]);
  check("a control token", model("1;<|im_end|>more"), "let a = |", {}, ["1;", "1;<|im_end|>", "stop"]);
  check("its length", model("12345"), "let a = |", { maxTokens: 3 }, ["123", "123", "length"]);
  const block = model("\n  a();\n  b();\n}");
  check("its length in a line", block, "if (a) {|", { maxTokens: 11 }, ["\n  a();", "\n  a();\n  b", "length"]);
  check("its length in the first line", block, "if (a) {|", { maxTokens: 5 }, ["\n  a(", "\n  a(", "length"]);
  check("cancelled", model("12", "cancelled"), "let a = |", {}, ["12", "12", "cancelled"]);
  check("nothing", model(" \n"), "let a = |", {}, ["", " ", "stop"]);
});

test.each<[perLetter: number, lines: "multi" | "single", expected: string]>([
  [10, "multi", "a();\n  b();\n  c();\n  d();"],
  [100, "multi", "a();\n  b();"],
  [300, "multi", "a();"],
  [300, "single", "a();"],
])("no further line is begun when it is written slowly, %d ms a letter, %s", async (perLetter, lines, expected) => {
  const place = {
    model: "auto",
    path: "a.ts",
    languageId: "c",
    prefix: "{\n  ",
    suffix: "\n}",
    extracts: [],
    maxTokens: 64,
  };
  let time = 0;
  const { text, finish } = await completeCode(
    model("a();\n  b();\n  c();\n  d();\n}"),
    { ...place, lines },
    { signal: new AbortController().signal, now: () => time, onText: () => (time += perLetter) },
  );
  expect([text, finish]).toEqual([expected, "stop"]);
});

test("one that nobody asked for is the least urgent", async () => {
  const fake = model("1;");
  const place = { model: "auto", path: "a.ts", languageId: "c", prefix: "a =", suffix: "", extracts: [], maxTokens: 9 };
  const { signal } = new AbortController();
  const { text } = await completeCode(fake, { ...place, lines: "auto" }, { signal, priority: "warm" });
  expect([text, fake.calls[0]?.priority]).toEqual(["1;", "warm"]);
});

test("aborting the caller's signal ends as cancelled", async () => {
  const controller = new AbortController();
  const result = await completeCode(
    model("1234567890"),
    { model: "auto", path: "", languageId: "c", prefix: "a", suffix: "", extracts: [], lines: "auto", maxTokens: 9 },
    {
      signal: controller.signal,
      onText: (text) => {
        if (text === "3") controller.abort();
      },
    },
  );
  expect(result).toMatchObject({ text: "123", finish: "cancelled" });
});

test("line ends of Windows reach the model as plain ones", async () => {
  const { call } = await complete(model(""), "a\r\n\r\n|\r\nb");
  expect(call?.prompt).toBe("<P><S>\nb<M>a\n\n");
});

describe("a prompt cut to what there is room for", () => {
  const long = Array.from({ length: 300 }, (_, index) => `line ${String(index).padStart(4, "0")}\n`).join("");

  function check(contextLength: number, prefix: string, atMost: number, speed = 1000): void {
    test(`${prefix.length} characters in ${contextLength} at ${speed}`, async () => {
      const fake = model("", "stop", contextLength);
      fake.prefillSpeed = speed;
      const { call } = await complete(fake, `${prefix}|`);
      expect(call?.prompt.length).toBeLessThanOrEqual(atMost);
      expect(call?.prompt.length).toBeGreaterThan(atMost / 4);
    });
  }

  check(32768, long, 3010);
  check(32768, long, 2560, 2);
  check(1024, long, 960);
  check(256, long, 192);
  check(32768, "变量".repeat(3000), 6010);
  check(32768, "变量".repeat(9000), 10240);
  check(32768, "变量".repeat(3000), 2560, 2);

  test("none at all", async () => {
    await expect(complete(model("", "stop", 80), `${long}|`)).rejects.toMatchObject({
      code: "CONTEXT_TOO_LONG",
      message: expect.stringMatching(/80 tokens.* 64 tokens.*nmos\.completion\.maxTokens/) as string,
    });
  });
});

test("a model that cannot fill in goes on from the text before the cursor", async () => {
  const fake = new FakeModelHandle(fakeModelInfo(null), 4096, { text: " b", finish: "stop" });
  const { result, call } = await complete(fake, "let a =|\nlet c;");
  expect(call).toMatchObject({ prompt: "let a", beginWith: " =" });
  expect(result.text).toBe(" b");
});

describe("what is computed ahead of a suggestion", () => {
  const place = { model: "auto", path: "a.ts", languageId: "ts", suffix: "\nz", extracts: [], maxTokens: 64 };
  const ahead = async (fake: FakeModelHandle, prefix: string, reach: "typed" | "whole") => {
    const { signal } = new AbortController();
    const result = await prefillCompletion(fake, { ...place, prefix, reach, load: true }, { signal });
    return { result, call: fake.calls[0] };
  };

  test("of a long context, first what a suggestion would be made from until it is computed", async () => {
    const fake = model("");
    fake.prefillSpeed = 0.1;
    const prefix = "let a = 1;\n".repeat(100);
    const { result } = await ahead(fake, prefix, "whole");
    const [brief, whole] = fake.calls.map(({ prompt }) => prompt);
    expect(fake.calls.length).toBe(2);
    expect(whole?.length).toBeGreaterThan(1000);
    expect(brief?.length).toBeLessThan(700);
    expect(brief).toBe((await complete(fake, `${prefix}|\nz`)).call?.prompt);
    expect(result.computedTokens).toBeGreaterThan(whole?.length ?? 0);
  });

  test.each(["let a = f", "let a = 1;\n".repeat(100)])("says that it was called off: %#", async (prefix) => {
    const fake = model("");
    fake.prefillSpeed = 0.1;
    const params = { ...place, prefix, reach: "whole", load: true } as const;
    expect(await prefillCompletion(fake, params, { signal: AbortSignal.abort() })).toMatchObject({ cancelled: true });
  });

  test("the whole context, at the lowest priority, as the suggestion will ask for it", async () => {
    const { result, call } = await ahead(model(""), "let a = f", "whole");
    expect(call).toMatchObject({ prompt: "<P><S>\nz<M>let a =", priority: "warm" });
    expect(result).toEqual({ promptTokens: 18, computedTokens: 16, computeMs: 2, cancelled: false });
  });

  test("a typed token, when the rest is there", async () => {
    const fake = model("");
    fake.cached = "<P><S>\nz<M>let";
    const { call } = await ahead(fake, "let a = f", "typed");
    expect(call?.prompt).toBe("<P><S>\nz<M>let a =");
  });

  test("no typed token while somebody waits for an answer", async () => {
    const fake = model("");
    fake.cached = "<P><S>\nz<M>let";
    fake.isAwaited = true;
    expect((await ahead(fake, "let a = f", "typed")).call).toBeUndefined();
    expect((await ahead(fake, "let a = f", "whole")).call).toBeDefined();
  });

  test("nothing while the user types where much is missing", async () => {
    const { result, call } = await ahead(model(""), "let a = f", "typed");
    expect(call).toBeUndefined();
    expect(result).toEqual({ promptTokens: 18, computedTokens: 0, computeMs: 0, cancelled: false });
  });
});
