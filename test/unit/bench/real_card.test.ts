import { describe, expect, it, test } from "vitest";
import { cardScenarios, isRealCard, parseCard } from "../../../bench/memory/real_card";
import { scenarioName } from "../../../bench/memory/scenario";
import { firstThat } from "../../../bench/memory/static_splits";
import { toEngineError } from "../../../src/shared/errors";

describe("a real card is named by two options", () => {
  function check(device: string | undefined, limit: string | undefined, expected: unknown): void {
    test(`${device ?? "none"} and ${limit ?? "none"}`, () => {
      let parsed: unknown;
      try {
        parsed = parseCard(device, limit);
      } catch (thrown) {
        parsed = toEngineError(thrown).code;
      }
      expect(parsed).toEqual(expected);
    });
  }
  check(undefined, undefined, null);
  check("CUDA0", "4096", { device: "CUDA0", vramLimitMiB: 4096 });
  check("CUDA0", undefined, "INVALID_ARGUMENT");
  check(undefined, "4096", "INVALID_ARGUMENT");
  check("", "4096", "INVALID_ARGUMENT");
  check("CUDA0@1", "4096", "INVALID_ARGUMENT");
  check("CUDA0+CUDA1", "4096", "INVALID_ARGUMENT");
  check("CUDA0", "4 GB", "INVALID_ARGUMENT");
  check("CUDA0", "4096.5", "INVALID_ARGUMENT");
  check("CUDA0", "127", "INVALID_ARGUMENT");
  check("CUDA0", "128", { device: "CUDA0", vramLimitMiB: 128 });
});

it("has scenarios with the limit, told from those of simulated cards", () => {
  const scenarios = cardScenarios({ device: "CUDA0", vramLimitMiB: 8192 });
  expect(scenarios.map(({ label, card }) => [label, card])).toEqual([
    ["7B", "CUDA0@8192"],
    ["14B", "CUDA0@8192"],
    ["32B", "CUDA0@8192"],
  ]);
  expect(scenarios.every(({ card }) => isRealCard(card))).toBe(true);
  expect(["gtx1650-4gb", "none"].some(isRealCard)).toBe(false);
});

it("names rows with the context where it is not the usual one", () => {
  const scenario = { label: "14B", layers: 48, card: "gtx1650-4gb", decodeTarget: 1 };
  expect(scenarioName(scenario)).toBe("14B gtx1650-4gb");
  expect(scenarioName({ ...scenario, contextLength: 8192 })).toBe("14B gtx1650-4gb context 8192");
});

describe("the first split that fits is found", () => {
  it.each([0, 1, 2, 6, 7])("in a few tries where it is number %i of seven", async (first) => {
    const tried: number[] = [];
    const fits = (item: number) => {
      tried.push(item);
      return Promise.resolve(item >= first);
    };
    expect(await firstThat([0, 1, 2, 3, 4, 5, 6], fits)).toBe(first);
    expect(tried.length).toBeLessThanOrEqual(3);
  });
});
