import { describe, expect, test } from "vitest";
import {
  SuggestionSource,
  type Complete,
  type Pause,
  type SuggestionQuery,
} from "../../../src/providers/suggestion_source";
import { noGuesses } from "../../../src/engine/guesses";
import type { CompletionResult } from "../../../src/shared/completion";

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
  private readonly source: SuggestionSource;
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
          resolve({ text: "", model: "m", finish: "cancelled", confidence: null, usage });
        });
      });
    };
    this.source = new SuggestionSource(
      {
        find: ({ prefix }) => {
          const match = this.known.find((entry) => (entry.prefix + entry.text).startsWith(prefix));
          return match && { text: (match.prefix + match.text).slice(prefix.length), confidence: null };
        },
        add: ({ prefix }, { text }) => {
          this.known.push({ prefix, text });
        },
      },
      complete,
    );
  }

  async suggest(asked: SuggestionQuery, wait: Pause | undefined, signal: AbortSignal): Promise<string> {
    return (await this.source.suggest(asked, wait, signal)).text;
  }

  stream(text: string): void {
    this.pending?.onText(text);
  }

  answer(text: string): void {
    this.pending?.resolve({ text, model: "m", finish: "stop", confidence: null, usage });
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
    const text = bench.suggest(query("const a = "), undefined, new AbortController().signal);
    bench.answer("1;");
    expect(await text).toBe("1;");
  });

  test("typing through a known suggestion asks nothing", async () => {
    const bench = new Bench();
    const first = bench.suggest(query("retu"), undefined, new AbortController().signal);
    bench.answer("rn x;");
    await first;
    expect(await bench.suggest(query("return"), pause, new AbortController().signal)).toBe(" x;");
    expect(bench.asked).toEqual(["retu"]);
  });

  test("a keystroke that agrees with the answer under way waits for it", async () => {
    const bench = new Bench();
    const before = new AbortController();
    const first = bench.suggest(query("retu"), undefined, before.signal);
    bench.stream("rn");
    before.abort();
    const second = bench.suggest(query("retur"), pause, new AbortController().signal);
    bench.answer("rn x;");
    expect(await first).toBe("");
    expect(await second).toBe("n x;");
    expect(bench.asked).toEqual(["retu"]);
    expect(bench.aborted).toEqual([]);
  });

  test("a keystroke that disagrees ends the request and asks anew", async () => {
    const bench = new Bench();
    const before = new AbortController();
    const first = bench.suggest(query("retu"), undefined, before.signal);
    bench.stream("rn");
    before.abort();
    const second = bench.suggest(query("retux"), undefined, new AbortController().signal);
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
    const first = bench.suggest(query("a"), undefined, before.signal);
    before.abort();
    const second = bench.suggest(query("ab"), undefined, new AbortController().signal);
    bench.stream("xyz");
    await bench.settle();
    bench.answer("c");
    await first;
    expect(await second).toBe("c");
    expect(bench.asked).toEqual(["a", "ab"]);
    expect(bench.aborted).toEqual(["a"]);
  });

  describe("an answer that has not begun when more is typed", () => {
    /** "ab" is typed while the answer for "a" is under way. */
    async function typeOn(wait: Pause) {
      const bench = new Bench();
      const before = new AbortController();
      void bench.suggest(query("a"), undefined, before.signal);
      before.abort();
      const text = bench.suggest(query("ab"), wait, new AbortController().signal);
      await bench.settle();
      return { bench, text };
    }

    test("goes on while the user types", async () => {
      const { bench, text } = await typeOn(endless);
      expect([bench.asked, bench.aborted]).toEqual([["a"], []]);
      bench.answer("bc");
      expect(await text).toBe("c");
    });

    test("goes on in a pause, and is what there is where it agrees", async () => {
      const { bench, text } = await typeOn(pause);
      expect([bench.asked, bench.aborted]).toEqual([["a"], []]);
      bench.stream("b");
      await bench.settle();
      expect([bench.asked, bench.aborted]).toEqual([["a"], []]);
      bench.answer("bc");
      expect(await text).toBe("c");
    });

    test("is asked for anew in a pause when it has begun with something else", async () => {
      const { bench, text } = await typeOn(pause);
      bench.stream("x");
      await bench.settle();
      expect([bench.asked, bench.aborted]).toEqual([["a", "ab"], ["a"]]);
      bench.answer("c");
      expect(await text).toBe("c");
    });

    test("is not asked for anew before the pause, whatever it begins with", async () => {
      const { bench } = await typeOn(endless);
      bench.stream("x");
      await bench.settle();
      expect([bench.asked, bench.aborted]).toEqual([["a"], ["a"]]);
    });

    test("is waited for in a pause when it has begun by then, and agrees", async () => {
      let reach: (reached: boolean) => void = () => undefined;
      const { bench, text } = await typeOn(() => new Promise((resolve) => (reach = resolve)));
      bench.stream("bc");
      reach(true);
      await bench.settle();
      expect([bench.asked, bench.aborted]).toEqual([["a"], []]);
      bench.answer("bcd");
      expect(await text).toBe("cd");
    });

    test("is asked for anew in the pause after it has ended with nothing", async () => {
      let reach: (reached: boolean) => void = () => undefined;
      const { bench, text } = await typeOn(() => new Promise((resolve) => (reach = resolve)));
      bench.answer("x");
      await bench.settle();
      expect(bench.asked).toEqual(["a"]);
      reach(true);
      await bench.settle();
      expect(bench.asked).toEqual(["a", "ab"]);
      bench.answer("c");
      expect(await text).toBe("c");
    });

    test("fails where it fails, and not once it was asked for anew", async () => {
      for (const wait of [endless, pause]) {
        const failing = await typeOn(wait);
        failing.bench.fail(new Error("engine died"));
        await expect(failing.text).rejects.toThrow("engine died");
      }
      const { bench, text } = await typeOn(pause);
      bench.stream("x");
      await bench.settle();
      bench.answer("c");
      expect(await text).toBe("c");
    });
  });

  test("another cursor position ends the request", async () => {
    const bench = new Bench();
    const first = bench.suggest(query("a", "tail"), undefined, new AbortController().signal);
    const second = bench.suggest(query("a", "other tail"), undefined, new AbortController().signal);
    await bench.settle();
    bench.answer("b");
    expect(await first).toBe("");
    expect(await second).toBe("b");
    expect(bench.aborted).toEqual(["a"]);
  });

  test("a cancellation during the wait asks nothing", async () => {
    const bench = new Bench();
    const controller = new AbortController();
    const text = bench.suggest(query("a"), endless, controller.signal);
    controller.abort();
    expect(await text).toBe("");
    expect(bench.asked).toEqual([]);
  });

  test("a request nobody waits for is ended", async () => {
    const bench = new Bench();
    const controller = new AbortController();
    const text = bench.suggest(query("a"), undefined, controller.signal);
    controller.abort();
    expect(await text).toBe("");
    await expect.poll(() => bench.aborted).toEqual(["a"]);
  });

  test("a failure reaches the caller and the next query asks again", async () => {
    const bench = new Bench();
    const text = bench.suggest(query("a"), undefined, new AbortController().signal);
    bench.fail(new Error("engine died"));
    await expect(text).rejects.toThrow("engine died");
    const again = bench.suggest(query("a"), undefined, new AbortController().signal);
    bench.answer("b");
    expect(await again).toBe("b");
  });
});
