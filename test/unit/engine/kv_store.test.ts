import { describe, expect, it } from "vitest";
import { KvStore } from "../../../src/engine/host/kv_store";
import type { NativeSnapshot } from "../../../src/engine/native/addon";

const letters = (text: string) => Int32Array.from(text, (letter) => letter.codePointAt(0) ?? 0);

/** A store for ten tokens of one byte each, and what was closed. */
function store() {
  const closed: string[] = [];
  const kept = new KvStore(10);
  const add = (text: string): NativeSnapshot => {
    const snapshot = { tokens: letters(text), bytes: text.length, close: () => closed.push(text) };
    kept.add(snapshot);
    return snapshot;
  };
  const find = (text: string) => {
    const found = kept.find(letters(text));
    return found && [String.fromCodePoint(...found.snapshot.tokens), found.length];
  };
  return { kept, closed, add, find };
}

describe("copies of KV caches", () => {
  it("are found by the beginning of a prompt", () => {
    const { add, find } = store();
    for (const text of ["abc", "abxx", "z"]) add(text);
    expect(find("abxy")).toEqual(["abxx", 3]);
    expect(find("abc")).toEqual(["abc", 3]);
    expect(find("q")).toBeNull();
  });

  it("go when there is no room for them, the least recently used first", () => {
    const { kept, add, closed } = store();
    const first = add("aaaa");
    add("bbbb");
    kept.touch(first);
    add("cccc");
    expect(closed).toEqual(["bbbb"]);
    expect(kept.bytes).toBe(8);
  });

  it("that others have most of go before an older one that nothing has any of", () => {
    const { kept, add, closed } = store();
    for (const text of ["aaaa", "bbx", "bby", "cc"]) add(text);
    expect(closed).toEqual(["bbx"]);
    // What is left of the two would cost all of its tokens now.
    add("dd");
    expect(closed).toEqual(["bbx", "aaaa"]);
    expect(kept.bytes).toBe(7);
  });

  it("of the place that was just left are kept, however little they have of their own", () => {
    const { add, closed } = store();
    for (const text of ["bbbbbb", "aaa", "bbc"]) add(text);
    expect(closed).toEqual(["bbbbbb"]);
  });

  it("that nobody uses go at last, whatever they cost", () => {
    const { add, closed } = store();
    add("aaaa");
    let others = 0;
    while (!closed.includes("aaaa") && others < 100) add(`bb${String.fromCodePoint(200 + others++)}`);
    // As of two goes of three that each cost a third of their tokens.
    expect(others).toBeGreaterThan(4);
    expect(others).toBeLessThan(12);
  });

  it("that are used are worth as much as they cost again", () => {
    const { kept, add, closed } = store();
    const first = add("aaaa");
    for (let others = 0; others < 30; others++) {
      kept.touch(first);
      add(`bb${String.fromCodePoint(200 + others)}`);
    }
    expect(closed).not.toContain("aaaa");
  });

  it("go when a longer one has all of them", () => {
    const { add, closed } = store();
    for (const text of ["ab", "abc", "x", "abc"]) add(text);
    expect(closed).toEqual(["ab", "abc"]);
  });

  it("that are too large are not kept, and cost no other its place", () => {
    const { kept, add, closed } = store();
    add("a");
    add("bbbbbbbbbbb");
    expect(closed).toEqual(["bbbbbbbbbbb"]);
    expect(kept.bytes).toBe(1);
    kept.clear();
    expect(kept.bytes).toBe(0);
  });

  it("are closed with the store", () => {
    const { kept, add, closed } = store();
    add("ab");
    add("cd");
    kept.clear();
    expect(closed).toEqual(["ab", "cd"]);
  });
});
