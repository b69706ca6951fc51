import { describe, expect, test } from "vitest";
import {
  SuggestionSource,
  type Complete,
  type Pause,
  type SuggestionQuery,
} from "../../../src/providers/suggestion_source";
import { noGuesses } from "../../../src/engine/guesses";
import type { CompletionResult } from "../../../src/shared/protocol";

const usage = {
  promptTokens: 1,
  reusedTokens: 0,
  completionTokens: 1,
  queuedMs: 0,
  prefillMs: 0,
  decodeMs: 0,
  decodePasses: 1,
  ...noGuesses,
};

function query(prefix: string, suffix = ""): SuggestionQuery {
  return {
    model: "auto",
    path: "a.ts",
    languageId: "typescript",
    prefix,
    suffix,
    extracts: [],
    lines: "auto",
    maxTokens: 96,
  };
}

const pause: Pause = (signal) => Promise.resolve(!signal.aborted);

/** Ends with the signal alone. */
const endless: Pause = (signal) =>
  new Promise((resolve) => {
    signal.addEventListener("abort", () => {
      resolve(false);
    });
  });

/** An engine whose answers the test hands out, and a memory that knows the rest of every suggestion. */
class Bench {
  readonly asked: string[] = [];
  readonly aborted: string[] = [];
  readonly source: SuggestionSource;
  private readonly known: { prefix: string; text: string }[] = [];
  private pending:
    | { resolve: (result: CompletionResult) => void; reject: (error: Error) => void; onText: (text: string) => void }
    | undefined;

  constructor() {
    const complete: Complete = (asked, signal, onText) => {
      this.asked.push(asked.prefix);
      return new Promise((resolve, reject) => {
        this.pending = { resolve, reject, onText };
        signal.addEventListener("abort", () => {
          this.aborted.push(asked.prefix);
          resolve({ text: "", model: "m", finish: "cancelled", usage });
        });
      });
    };
    this.source = new SuggestionSource(
      {
        find: ({ prefix }) => {
          const match = this.known.find((entry) => (entry.prefix + entry.text).startsWith(prefix));
          return match ? (match.prefix + match.text).slice(prefix.length) : undefined;
        },
        add: ({ prefix }, text) => {
          this.known.push({ prefix, text });
        },
      },
      complete,
    );
  }

  stream(text: string): void {
    this.pending?.onText(text);
  }

  answer(text: string): void {
    this.pending?.resolve({ text, model: "m", finish: "stop", usage });
  }

  fail(error: Error): void {
    this.pending?.reject(error);
  }

  /** Lets everything that is ready run. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

describe("where ghost text comes from", () => {
  test("a suggestion asked for is requested at once", async () => {
    const bench = new Bench();
    const text = bench.source.suggest(query("const a = "), undefined, new AbortController().signal);
    bench.answer("1;");
    expect(await text).toBe("1;");
  });

  test("typing through a known suggestion asks nothing", async () => {
    const bench = new Bench();
    const first = bench.source.suggest(query("retu"), undefined, new AbortController().signal);
    bench.answer("rn x;");
    await first;
    expect(await bench.source.suggest(query("return"), pause, new AbortController().signal)).toBe(" x;");
    expect(bench.asked).toEqual(["retu"]);
  });

  test("a keystroke that agrees with the answer under way waits for it", async () => {
    const bench = new Bench();
    const before = new AbortController();
    const first = bench.source.suggest(query("retu"), undefined, before.signal);
    bench.stream("rn");
    before.abort();
    const second = bench.source.suggest(query("retur"), pause, new AbortController().signal);
    bench.answer("rn x;");
    expect(await first).toBe("");
    expect(await second).toBe("n x;");
    expect(bench.asked).toEqual(["retu"]);
    expect(bench.aborted).toEqual([]);
  });

  test("a keystroke that disagrees ends the request and asks anew", async () => {
    const bench = new Bench();
    const before = new AbortController();
    const first = bench.source.suggest(query("retu"), undefined, before.signal);
    bench.stream("rn");
    before.abort();
    const second = bench.source.suggest(query("retux"), undefined, new AbortController().signal);
    await bench.settle();
    bench.answer("yz");
    expect(await first).toBe("");
    expect(await second).toBe("yz");
    expect(bench.asked).toEqual(["retu", "retux"]);
    expect(bench.aborted).toEqual(["retu"]);
  });

  test("an answer that turns out to disagree with what was typed meanwhile is ended", async () => {
    const bench = new Bench();
    const before = new AbortController();
    const first = bench.source.suggest(query("a"), undefined, before.signal);
    before.abort();
    const second = bench.source.suggest(query("ab"), undefined, new AbortController().signal);
    bench.stream("xyz");
    await bench.settle();
    bench.answer("c");
    await first;
    expect(await second).toBe("c");
    expect(bench.asked).toEqual(["a", "ab"]);
    expect(bench.aborted).toEqual(["a"]);
  });

  test("another cursor position ends the request", async () => {
    const bench = new Bench();
    const first = bench.source.suggest(query("a", "tail"), undefined, new AbortController().signal);
    const second = bench.source.suggest(query("a", "other tail"), undefined, new AbortController().signal);
    await bench.settle();
    bench.answer("b");
    expect(await first).toBe("");
    expect(await second).toBe("b");
    expect(bench.aborted).toEqual(["a"]);
  });

  test("a cancellation during the wait asks nothing", async () => {
    const bench = new Bench();
    const controller = new AbortController();
    const text = bench.source.suggest(query("a"), endless, controller.signal);
    controller.abort();
    expect(await text).toBe("");
    expect(bench.asked).toEqual([]);
  });

  test("a request nobody waits for is ended", async () => {
    const bench = new Bench();
    const controller = new AbortController();
    const text = bench.source.suggest(query("a"), undefined, controller.signal);
    controller.abort();
    expect(await text).toBe("");
    await expect.poll(() => bench.aborted).toEqual(["a"]);
  });

  test("a failure reaches the caller and the next query asks again", async () => {
    const bench = new Bench();
    const text = bench.source.suggest(query("a"), undefined, new AbortController().signal);
    bench.fail(new Error("engine died"));
    await expect(text).rejects.toThrow("engine died");
    const again = bench.source.suggest(query("a"), undefined, new AbortController().signal);
    bench.answer("b");
    expect(await again).toBe("b");
  });
});
