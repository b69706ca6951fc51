import { describe, expect, test } from "vitest";
import { noGuesses } from "../../../src/engine/guesses";
import { describeEngine, describePlacement, describeSpeed } from "../../../scripts/terminal/engine_report";
import type { Usage } from "../../../src/shared/generation";
import type { Placement } from "../../../src/shared/placement";
import { engineStatus, loadedModel, overTwoCards } from "../support/engine_status";

const usage: Usage = {
  promptTokens: 100,
  reusedTokens: 0,
  completionTokens: 120,
  queuedMs: 0,
  prefillMs: 500,
  decodeMs: 4000,
  decodePasses: 120,
  ...noGuesses,
};

describe("the speed of a generation", () => {
  function check(name: string, given: Partial<Usage>, expected: string): void {
    test(name, () => {
      expect(describeSpeed({ ...usage, ...given })).toBe(expected);
    });
  }

  check("plain", {}, "prefill 100 tokens at 200.0/s, decode 120 tokens at 30.0/s");
  check(
    "with a part of the prompt in the cache",
    { reusedTokens: 90 },
    "prefill 10 tokens at 20.0/s, 90 reused, decode 120 tokens at 30.0/s",
  );
  check(
    "with guesses",
    { decodePasses: 56, draftedTokens: 80, acceptedTokens: 64, savedMs: 1234 },
    "prefill 100 tokens at 200.0/s, decode 120 tokens at 30.0/s, 64 of 80 guessed tokens right, 1.2 s saved",
  );
  check(
    "with guesses that saved nothing",
    { draftedTokens: 2, acceptedTokens: 1, savedMs: -10 },
    "prefill 100 tokens at 200.0/s, decode 120 tokens at 30.0/s, 1 of 2 guessed tokens right",
  );
  check("of nothing", { completionTokens: 0, decodeMs: 0 }, "prefill 100 tokens at 200.0/s, decode 0 tokens");
});

describe("the engine", () => {
  test("with a card", () => {
    expect(describeEngine(engineStatus()).split("\n")).toEqual([
      "Engine   0.1.0 with llama.cpp v0.4.0, process 7",
      "RAM      4,096 MiB available of 8,192 MiB",
      "Device   CPU: AMD EPYC (processor), 4,096 MiB free of 8,192 MiB",
      "Device   Vulkan0: RTX (graphics card), 5,192 MiB free of 8,192 MiB",
    ]);
  });

  test("says which backend is not used, and why", () => {
    const cuda = { name: "cuda", usable: false, reason: "libcuda.so.1: cannot open shared object file" };
    const lines = describeEngine(engineStatus({ backends: [cuda] })).split("\n");
    expect(lines.at(-1)).toBe("Backend  cuda is not used: libcuda.so.1: cannot open shared object file");
  });

  test("says what takes time", () => {
    const lines = describeEngine(engineStatus({ preparing: "The driver compiles." })).split("\n");
    expect(lines.at(-1)).toBe("         The driver compiles.");
  });
});

describe("where a model is", () => {
  function check(name: string, placement: Partial<Placement>, expected: string): void {
    test(name, () => {
      const [first] = describePlacement(loadedModel({ placement })).split("\n");
      expect(first).toBe(`Model    Model M (4,600 MiB): ${expected}`);
    });
  }

  check("on a card, in part", {}, "2 of 4 layers on Vulkan0");
  check("over two cards", overTwoCards, "3 of 4 layers on CUDA0 and Vulkan0");
  check("in RAM", { deviceLayers: 0, cards: [] }, "all 4 layers in RAM");
});
