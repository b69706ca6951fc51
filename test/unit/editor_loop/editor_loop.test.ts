import { describe, expect, test } from "vitest";
import type { Clock } from "../../../src/engine/editor_loop/clock";
import type { EditKind } from "../../../src/engine/editor_loop/edit_kind";
import { EditorLoop } from "../../../src/engine/editor_loop/editor_loop";
import type { AheadResult } from "../../../src/shared/generation";

/** A clock that the test moves. */
class ManualClock implements Clock {
  private time = 0;
  private alarms: { at: number; action: () => void }[] = [];

  now(): number {
    return this.time;
  }

  after(milliseconds: number, action: () => void): () => void {
    const alarm = { at: this.time + milliseconds, action };
    this.alarms.push(alarm);
    return () => {
      this.alarms = this.alarms.filter((other) => other !== alarm);
    };
  }

  async advance(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds;
    for (;;) {
      const next = this.alarms.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.alarms = this.alarms.filter((other) => other !== next);
      this.time = next.at;
      next.action();
      await settle();
    }
    this.time = end;
    await settle();
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A loop over an engine that computes until the test says so, and what became of it. */
class Bench {
  readonly clock = new ManualClock();
  readonly log: string[] = [];
  private finish: ((result: AheadResult) => void)[] = [];
  /** Whether there is something to be computed after the suggestion on the screen. */
  isShown = false;
  readonly loop = new EditorLoop({
    clock: this.clock,
    prefill: (reach, signal) => {
      this.log.push(reach);
      return new Promise((resolve) => {
        this.finish.push(resolve);
        signal.addEventListener("abort", () => {
          this.log.push(`${reach} aborted`);
          resolve(null);
        });
      });
    },
  });

  constructor() {
    this.loop.foreseeWith((signal) => {
      if (!this.isShown) return Promise.resolve();
      this.log.push("next");
      return new Promise((resolve) => {
        this.finish.push(() => {
          resolve();
        });
        signal.addEventListener("abort", () => {
          this.log.push("next aborted");
          resolve();
        });
      });
    });
  }

  async finished(): Promise<void> {
    for (const resolve of this.finish)
      resolve({ promptTokens: 10, computedTokens: 10, computeMs: 5, cancelled: false });
    this.finish = [];
    await settle();
  }

  /** Types a key and says whether ghost text was begun after so many milliseconds. */
  async key(milliseconds: number): Promise<boolean> {
    this.loop.edited("typed", "c");
    let begun = false;
    const controller = new AbortController();
    const pause = this.loop.pause(0, controller.signal).then((reached) => {
      begun = reached;
    });
    await this.clock.advance(milliseconds);
    const result = begun;
    controller.abort();
    await pause;
    return result;
  }
}

describe("the editor loop", () => {
  test("computes the whole context ahead in a pause where no ghost text is wanted", async () => {
    const bench = new Bench();
    bench.loop.edited("history", "c");
    await bench.clock.advance(499);
    expect([bench.loop.phase, ...bench.log]).toEqual(["typing"]);
    await bench.clock.advance(1);
    expect([bench.loop.phase, ...bench.log]).toEqual(["suggest"]);
    await bench.clock.advance(200);
    expect([bench.loop.phase, ...bench.log]).toEqual(["foresee"]);
    await bench.clock.advance(200);
    expect([bench.loop.phase, ...bench.log]).toEqual(["warm"]);
    await bench.clock.advance(300);
    expect([bench.loop.phase, ...bench.log]).toEqual(["warm", "whole"]);
    await bench.finished();
    expect(bench.loop.phase).toBe("idle");
  });

  test("computes the whole context ahead as soon as the cursor has settled where nobody asks for ghost text", async () => {
    const bench = new Bench();
    bench.isShown = true;
    bench.loop.moved();
    await bench.clock.advance(149);
    expect([bench.loop.phase, ...bench.log]).toEqual(["typing"]);
    await bench.clock.advance(1);
    expect([bench.loop.phase, ...bench.log]).toEqual(["warm", "whole"]);
    await bench.finished();
    expect([bench.loop.phase, ...bench.log]).toEqual(["idle", "whole"]);
  });

  test("lets ghost text go first where somebody asks for it when the cursor moves", async () => {
    const bench = new Bench();
    bench.loop.moved();
    const pause = bench.loop.pause(0, new AbortController().signal);
    await bench.clock.advance(150);
    expect([await pause, bench.loop.phase, ...bench.log]).toEqual([true, "suggest"]);
  });

  test("ghost text that is asked for while the context is computed is looked at as any other", async () => {
    const bench = new Bench();
    bench.isShown = true;
    bench.loop.moved();
    await bench.clock.advance(200);
    bench.loop.suggesting()(80);
    await bench.clock.advance(200);
    expect([bench.loop.phase, ...bench.log]).toEqual(["foresee", "whole", "whole aborted", "next"]);
    await bench.finished();
    await bench.clock.advance(300);
    expect([bench.loop.phase, bench.log.at(-1)]).toEqual(["warm", "whole"]);
  });

  test("lets ghost text go first", async () => {
    const bench = new Bench();
    bench.loop.edited("typed", "c");
    let ended: ((answerMs: number) => void) | undefined;
    void bench.loop.pause(0, new AbortController().signal).then(() => {
      ended = bench.loop.suggesting();
    });
    await bench.clock.advance(1000);
    expect([bench.loop.phase, ...bench.log]).toEqual(["suggest", "typed"]);
    ended?.(80);
    await bench.clock.advance(500);
    expect([bench.loop.phase, ...bench.log]).toEqual(["warm", "typed", "typed aborted", "whole"]);
  });

  test("computes what comes after a suggestion that is looked at, and then the whole context", async () => {
    const bench = new Bench();
    bench.isShown = true;
    bench.loop.edited("inserted", "c");
    await bench.clock.advance(0);
    bench.loop.suggesting()(80);
    await bench.clock.advance(199);
    expect(bench.log).toEqual(["typed"]);
    await bench.clock.advance(1000);
    expect([bench.loop.phase, ...bench.log]).toEqual(["foresee", "typed", "typed aborted", "next"]);
    await bench.finished();
    await bench.clock.advance(300);
    expect([bench.loop.phase, bench.log.at(-1)]).toEqual(["warm", "whole"]);
  });

  test("a key ends what is computed after a suggestion", async () => {
    const bench = new Bench();
    bench.isShown = true;
    bench.loop.edited("history", "c");
    await bench.clock.advance(1000);
    bench.loop.edited("typed", "c");
    await settle();
    expect([bench.loop.phase, ...bench.log]).toEqual(["typing", "next", "next aborted", "typed"]);
  });

  test("lets ghost text go first that is asked for late", async () => {
    const bench = new Bench();
    bench.loop.edited("history", "c");
    await bench.clock.advance(650);
    expect(await bench.loop.pause(0, new AbortController().signal)).toBe(true);
    bench.loop.suggesting();
    await bench.clock.advance(1000);
    expect([bench.loop.phase, ...bench.log]).toEqual(["suggest"]);
  });

  test("goes on where a pause was waited for and then nothing is begun", async () => {
    const bench = new Bench();
    bench.loop.edited("inserted", "c");
    const pause = bench.loop.pause(0, new AbortController().signal);
    await bench.clock.advance(199);
    expect(await pause).toBe(true);
    expect(bench.loop.phase).toBe("suggest");
    await bench.clock.advance(1);
    expect(bench.loop.phase).toBe("foresee");
  });

  test("what ends late says nothing of what was begun since", async () => {
    const bench = new Bench();
    bench.loop.moved();
    const late = bench.loop.suggesting();
    bench.loop.edited("typed", "c");
    await bench.clock.advance(1000);
    const pause = bench.loop.pause(0, new AbortController().signal);
    bench.loop.edited("inserted", "c");
    await bench.clock.advance(0);
    await pause;
    const ended = bench.loop.suggesting();
    late(50);
    expect(bench.loop.phase).toBe("suggest");
    ended(50);
    expect(bench.loop.phase).toBe("foresee");
    late(50);
    await bench.clock.advance(500);
    expect(bench.log.at(-1)).toBe("whole");
  });

  test("two suggestions that end in one pause do not call off what follows the first", async () => {
    const bench = new Bench();
    bench.loop.edited("inserted", "c");
    const pause = bench.loop.pause(0, new AbortController().signal);
    await bench.clock.advance(0);
    await pause;
    const ends = [bench.loop.suggesting(), bench.loop.suggesting()];
    for (const end of ends) end(50);
    await bench.clock.advance(500);
    expect(bench.log.at(-1)).toBe("whole");
  });

  test("a key ends what is computed ahead", async () => {
    const bench = new Bench();
    bench.loop.moved();
    await bench.clock.advance(1000);
    bench.loop.edited("typed", "c");
    expect([bench.loop.phase, ...bench.log]).toEqual(["typing", "whole", "whole aborted", "typed"]);
    await settle();
    expect(bench.loop.phase).toBe("typing");
  });

  test("learns the rhythm of the keys and the time of answers", async () => {
    const bench = new Bench();
    for (let index = 0; index < 64; index++) await bench.key(index % 8 === 7 ? 2000 : 100);
    for (let index = 0; index < 16; index++) bench.loop.suggesting()(300);
    expect(await bench.key(99)).toBe(false);
    expect(await bench.key(101)).toBe(true);
    for (let index = 0; index < 16; index++) bench.loop.suggesting()(20);
    expect(await bench.key(1)).toBe(true);
  });

  test("what is composed or undone teaches no rhythm", async () => {
    const bench = new Bench();
    for (let index = 0; index < 64; index++) {
      bench.loop.edited(index % 2 === 0 ? "replaced" : "history", "c");
      await bench.clock.advance(5);
    }
    // After gaps of 5 ms this would be in the midst of typing.
    expect(await bench.key(4)).toBe(true);
  });

  test.each<[name: string, kind: EditKind | undefined]>([
    ["composing", "replaced"],
    ["deleting", "deleted"],
    ["accepting a suggestion", "inserted"],
    ["undoing", "history"],
    ["moving the cursor", undefined],
  ])("%s between two keys is no gap between them", async (_, kind) => {
    const bench = new Bench();
    for (let index = 0; index < 64; index++) await bench.key(index % 8 === 7 ? 2000 : 100);
    for (let index = 0; index < 16; index++) bench.loop.suggesting()(300);
    for (let index = 0; index < 64; index++) {
      await bench.key(1000);
      if (kind) bench.loop.edited(kind, "c");
      else bench.loop.moved();
      await bench.clock.advance(1000);
    }
    // With gaps of two seconds every key would be followed by a pause.
    expect(await bench.key(99)).toBe(false);
    expect(await bench.key(101)).toBe(true);
  });

  test("waits at least as long as it is told, and not at all where nothing was typed", async () => {
    const bench = new Bench();
    let begun = false;
    void bench.loop.pause(40, new AbortController().signal).then(() => {
      begun = true;
    });
    await bench.clock.advance(39);
    expect(begun).toBe(false);
    await bench.clock.advance(1);
    expect(begun).toBe(true);
    expect(await bench.loop.pause(0, new AbortController().signal)).toBe(true);
  });

  test("a pause that was called off is none", async () => {
    const bench = new Bench();
    bench.loop.edited("typed", "c");
    const controller = new AbortController();
    const pause = bench.loop.pause(0, controller.signal);
    controller.abort();
    expect(await pause).toBe(false);
    expect(await bench.loop.pause(10, controller.signal)).toBe(false);
  });

  test("rests with several cursors and while another window is in front", async () => {
    const bench = new Bench();
    bench.loop.edited("many", "c");
    await bench.clock.advance(5000);
    bench.loop.left();
    await bench.clock.advance(5000);
    expect([bench.loop.phase, ...bench.log]).toEqual(["away"]);
  });

  test("goes on after a failure of computing ahead", async () => {
    const clock = new ManualClock();
    const loop = new EditorLoop({ clock, prefill: () => Promise.reject(new Error("engine died")) });
    loop.moved();
    await clock.advance(1000);
    expect(loop.phase).toBe("idle");
  });

  test("nobody waits for one that is disposed", async () => {
    const bench = new Bench();
    bench.loop.edited("typed", "c");
    const pause = bench.loop.pause(0, new AbortController().signal);
    bench.loop.dispose();
    await pause;
    expect(bench.log).toEqual(["typed", "typed aborted"]);
  });
});
