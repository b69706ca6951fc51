import { describe, expect, test } from "vitest";
import { contextScale } from "../../../src/engine/completion/context_scale";

describe("times the usual context", () => {
  function check(
    name: string,
    speed: number | undefined,
    before: number,
    expected: number,
    contextLength = 32768,
  ): void {
    test(`${name}: ${expected}`, () => {
      expect(contextScale(speed, contextLength, before)).toBe(expected);
    });
  }

  check("as long as nobody knows the speed", undefined, 1, 1);
  check("as before where nobody knows it", undefined, 2, 2);
  check("for a processor without a card", 0.25, 1, 1);
  check("just too slow for more", 2, 1, 1);
  check("twice as much in a pause", 2.1, 1, 2);
  check("just too slow for four times as much", 4, 2, 2);
  check("for a fast card", 4.1, 1, 4);
  check("never more", 1000, 4, 4);
  check("what it has, it keeps at a little less", 2.1, 4, 4);
  check("the same with twice as much", 1.1, 2, 2);
  check("but not at half the speed", 2, 4, 2);
  check("nor at less than that", 0.5, 4, 1);
  check("as the context has room", 1000, 1, 3, 8000);
  check("as a small context has room", 1000, 4, 1, 4000);
  check("in a context that is smaller still", 1000, 1, 1, 1000);
});
