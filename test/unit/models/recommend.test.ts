import { describe, expect, it } from "vitest";
import { catalogue } from "../../../src/engine/models/catalogue";
import { fits, recommend } from "../../../src/engine/models/recommend";

const gibibyte = 2 ** 30;

describe("the recommendation", () => {
  /** Memory as the system reports it: somewhat less than what the machine was sold with. */
  const cases: [gibibytes: number, fast: string | null, main: string | null][] = [
    [2, null, null],
    [3.3, null, null],
    [3.8, "qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b"],
    [4.2, "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"],
    [7.7, "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"],
    [11.6, "qwen2.5-coder-0.5b", "qwen2.5-coder-7b"],
    [15.5, "qwen2.5-coder-0.5b", "qwen2.5-coder-7b"],
    [23.4, "qwen2.5-coder-0.5b", "qwen2.5-coder-7b"],
    [31.2, "qwen2.5-coder-1.5b", "qwen2.5-coder-7b"],
    [64, "qwen2.5-coder-1.5b", "qwen2.5-coder-7b"],
    [512, "qwen2.5-coder-1.5b", "qwen2.5-coder-7b"],
  ];

  it.each(cases)("for %d GiB is %s for ghost text and %s for chat", (gibibytes, fast, main) => {
    const recommended = [
      recommend(catalogue, "fast", gibibytes * gibibyte),
      recommend(catalogue, "main", gibibytes * gibibyte),
    ];
    expect(recommended).toEqual([fast, main]);
  });

  it("never names a model that may not be used commercially or does not know code", () => {
    const excluded = catalogue.filter(({ commercialUse, trainedForCode }) => !commercialUse || !trainedForCode);
    expect(excluded.map(({ id }) => id)).toEqual(["qwen2.5-coder-3b", "smollm2-135m"]);
    expect(recommend(excluded, "main", 512 * gibibyte)).toBeNull();
  });

  it("does not depend on the order of the catalogue", () => {
    const reversed = catalogue.toReversed();
    for (const [gibibytes, fast, main] of cases) {
      expect(recommend(reversed, "fast", gibibytes * gibibyte)).toBe(fast);
      expect(recommend(reversed, "main", gibibytes * gibibyte)).toBe(main);
    }
  });
});

describe("whether a model fits", () => {
  const cases: [requiredBytes: number, gibibytes: number, fitting: boolean][] = [
    [gibibyte, 3.5, true],
    [gibibyte + 1, 3.5, false],
    [0, 2.5, true],
    [12 * gibibyte, 16, true],
    [14 * gibibyte, 16, false],
  ];

  it.each(cases)("%d bytes on %d GiB: %s", (requiredBytes, gibibytes, fitting) => {
    expect(fits({ requiredBytes }, gibibytes * gibibyte)).toBe(fitting);
  });
});
