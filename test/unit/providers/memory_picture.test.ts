import { describe, expect, test } from "vitest";
import { memoryPicture, noPicture, type Sample } from "../../../src/providers/memory/memory_picture";
import type { DeviceStatus, EngineStatus, LoadedModel } from "../../../src/shared/engine_status";
import { parseFromMemoryView, type Fact, type MemoryPicture } from "../../../src/shared/memory_messages";
import type { LayerPlacement, Placement } from "../../../src/shared/placement";
import { cutUp, engineStatus, inRam, loadedModel, onCard, overTwoCards, placedCard } from "../support/engine_status";

const mib = 2 ** 20;

function picture(given: Partial<EngineStatus> = {}): MemoryPicture {
  return memoryPicture({ status: engineStatus(given), at: 0 });
}

function only<T>(items: readonly T[]): T {
  expect(items).toHaveLength(1);
  return items[0] ?? expect.fail("expected one, got none");
}

function modelOf(placement: Partial<Placement> = {}) {
  return only(picture({ models: [loadedModel({ placement })] }).models);
}

function texts(facts: readonly Fact[]): string[] {
  return facts.map(({ label, value }) => `${label}: ${value}`);
}

describe("the engine", () => {
  function check(name: string, given: Partial<EngineStatus>, expected: string): void {
    test(name, () => {
      expect(picture(given).engine).toBe(expected);
    });
  }

  const [cpu] = engineStatus().devices;
  const start = "Engine 0.1.0 with llama.cpp v0.4.0, process 7, serving";
  check("one window", {}, `${start} 1 window.`);
  check("two windows", { clients: 2 }, `${start} 2 windows.`);
  check("only a processor", { devices: cpu ? [cpu] : [] }, `${start} 1 window. It found no graphics card.`);
  check(
    "nothing native yet",
    { library: "", devices: [] },
    "Engine 0.1.0, process 7, serving 1 window. It has not looked for graphics cards yet.",
  );

  test("none", () => {
    expect(noPicture.engine).toContain("not running");
    expect(noPicture.tiers).toEqual([]);
  });
});

describe("the tiers", () => {
  /** Every part as `kind MiB`, per mille of the bar. */
  function check(name: string, given: Partial<EngineStatus>, title: string, expected: string[]): void {
    test(name, () => {
      const { parts, description } = only(picture(given).tiers.filter((tier) => tier.title === title));
      expect(parts.map(({ kind, amount, share }) => `${kind} ${amount} ${Math.round(1000 * share)}`)).toEqual(expected);
      for (const { label, amount } of parts) expect(description).toContain(`${label} ${amount}`);
      expect(parts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    });
  }

  const card = (memoryFree: number, given: Partial<DeviceStatus> = {}): DeviceStatus[] => [
    {
      name: "Vulkan0",
      description: "RTX",
      kind: "gpu",
      memoryTotal: 8000 * mib,
      memoryFree: memoryFree * mib,
      ...given,
    },
  ];
  const ram = (available: number, process: number) => ({
    totalBytes: 8000 * mib,
    availableBytes: available * mib,
    hostProcessBytes: process * mib,
  });

  check("RAM", { memory: ram(4000, 1000) }, "RAM", [
    "engine 1,000 MiB 125",
    "other 3,000 MiB 375",
    "free 4,000 MiB 500",
  ]);
  check("RAM with a mapped file that counts twice", { memory: ram(7000, 5000) }, "RAM", [
    "engine 5,000 MiB 625",
    "other 0 MiB 0",
    "free 3,000 MiB 375",
  ]);
  check(
    "RAM of which nothing is known",
    { memory: { totalBytes: 0, availableBytes: 0, hostProcessBytes: mib } },
    "RAM",
    ["engine 1 MiB 1000", "other 0 MiB 0", "free 0 MiB 0"],
  );
  check("a card without a model", { devices: card(6000) }, "Graphics card Vulkan0", [
    "other 2,000 MiB 250",
    "free 6,000 MiB 750",
  ]);
  check("integrated", { devices: card(6000, { kind: "integrated" }) }, "Integrated graphics Vulkan0", [
    "other 2,000 MiB 250",
    "free 6,000 MiB 750",
  ]);
  check("half of a model's cache", { devices: card(5000), models: [loadedModel()] }, "Graphics card Vulkan0", [
    "weights 1,600 MiB 200",
    "cache 100 MiB 13",
    "slots 300 MiB 38",
    "other 1,000 MiB 125",
    "free 5,000 MiB 625",
  ]);
  check(
    "two models share the slots",
    { devices: card(4000), models: [loadedModel(), loadedModel({ ref: "n" })] },
    "Graphics card Vulkan0",
    ["weights 3,200 MiB 400", "cache 200 MiB 25", "slots 300 MiB 38", "other 300 MiB 38", "free 4,000 MiB 500"],
  );
  check(
    "what is planned and not yet taken",
    { devices: card(8000), models: [loadedModel({ placement: { cards: [placedCard({ slots: 0 })] } })] },
    "Graphics card Vulkan0",
    ["weights 1,900 MiB 238", "cache 100 MiB 13", "other 0 MiB 0", "free 6,000 MiB 750"],
  );
  check(
    "more is planned than the card has",
    {
      devices: card(0),
      models: [loadedModel({ placement: { cards: [placedCard({ slots: 0, kvBytes: 0, bytes: 16_000 * mib })] } })],
    },
    "Graphics card Vulkan0",
    ["weights 16,000 MiB 1000", "other 0 MiB 0", "free 0 MiB 0"],
  );
  check(
    "a model on another card",
    { devices: card(6000), models: [loadedModel({ placement: { cards: [placedCard({ device: "Vulkan1" })] } })] },
    "Graphics card Vulkan0",
    ["other 2,000 MiB 250", "free 6,000 MiB 750"],
  );
  const both = loadedModel({ placement: overTwoCards });
  check("what a model over two cards has on one", { devices: card(5000), models: [both] }, "Graphics card Vulkan0", [
    "weights 1,600 MiB 200",
    "cache 100 MiB 13",
    "slots 300 MiB 38",
    "other 1,000 MiB 125",
    "free 5,000 MiB 625",
  ]);
  check("what it has on the other", { devices: card(7000, { name: "CUDA0" }), models: [both] }, "Graphics card CUDA0", [
    "weights 950 MiB 119",
    "cache 50 MiB 6",
    "other 0 MiB 0",
    "free 7,000 MiB 875",
  ]);

  test("cards come before RAM, the processor is none", () => {
    expect(picture().tiers.map(({ title }) => title)).toEqual(["Graphics card Vulkan0", "RAM"]);
    expect(picture({ devices: [] }).tiers.map(({ title }) => title)).toEqual(["RAM"]);
  });

  test("name the card and, beside RAM, the processor", () => {
    expect(picture().tiers.map(({ detail }) => detail)).toEqual(["RTX, 8,192 MiB", "AMD EPYC, 8,192 MiB"]);
    expect(only(picture({ devices: [] }).tiers).detail).toBe("8,192 MiB");
  });
});

describe("the layers", () => {
  test("are columns with shares, the output head last", () => {
    const { columns } = modelOf();
    expect(columns.map(({ label }) => label)).toEqual(["1", "2", "3", "4", "out"]);
    expect(columns.map((column) => column.onCard)).toEqual([false, false, true, true, true]);
    expect(columns.map(({ network }) => network)).toEqual([
      { card: 0, uploaded: 0, processor: 1 },
      { card: 0, uploaded: 0, processor: 1 },
      { card: 0.5, uploaded: 0.25, processor: 0.25 },
      { card: 1, uploaded: 0, processor: 0 },
      null,
    ]);
  });

  function checkColumn(name: string, layer: LayerPlacement, expected: string): void {
    test(name, () => {
      expect(modelOf({ layerMap: [layer] }).columns[0]?.description).toBe(`Layer 1: ${expected}.`);
    });
  }

  const none: LayerPlacement = {
    attentionOnDevice: true,
    card: "Vulkan0",
    network: { device: 0, uploaded: 0, host: 0 },
  };
  checkColumn("on the card", onCard, "attention and KV cache on Vulkan0; network 100% on Vulkan0");
  checkColumn("in RAM", inRam, "attention and KV cache in RAM; network 100% computed by the processor");
  checkColumn(
    "cut up",
    cutUp,
    "attention and KV cache on Vulkan0; network 50% on Vulkan0, 25% uploaded in every pass, 25% computed by the processor",
  );
  checkColumn("without a network", none, "attention and KV cache on Vulkan0; no feed-forward network");
  checkColumn(
    "nearly all and hardly any",
    { attentionOnDevice: true, card: "Vulkan0", network: { device: 0.999, uploaded: 0.001, host: 0 } },
    "attention and KV cache on Vulkan0; network >99% on Vulkan0, <1% uploaded in every pass",
  );

  function checkRuns(name: string, layerMap: LayerPlacement[], expected: string[]): void {
    test(name, () => {
      const runs = modelOf({ layerMap }).runs.slice(0, -1);
      expect(runs.map((run) => [run.layers, run.attention, run.card, run.uploaded, run.processor].join(" | "))).toEqual(
        expected,
      );
    });
  }

  const ramRow = "in RAM | 0% | 0% | 100%";
  checkRuns(
    "neighbours that are alike are one row",
    [inRam, inRam, cutUp, onCard],
    [`1 to 2 | ${ramRow}`, "3 | on Vulkan0 | 50% | 25% | 25%", "4 | on Vulkan0 | 100% | 0% | 0%"],
  );
  checkRuns(
    "others between them part them",
    [inRam, none, inRam],
    [`1 | ${ramRow}`, "2 | on Vulkan0 | none | none | none", `3 | ${ramRow}`],
  );

  test("the last row is the output head", () => {
    expect(modelOf({ outputOnDevice: false }).runs.at(-1)).toMatchObject({
      layers: "output head",
      attention: "in RAM",
    });
  });

  function checkDescription(name: string, placement: Partial<Placement>, expected: string): void {
    test(name, () => {
      expect(modelOf(placement).description).toBe(expected);
    });
  }

  checkDescription(
    "of all kinds in words",
    {},
    "4 layers. Attention and KV cache of 2: on Vulkan0, of 2: in RAM. Feed-forward networks: 38% on Vulkan0, 6% uploaded in every pass, 56% computed by the processor. Output head: on Vulkan0.",
  );
  checkDescription(
    "by the processor alone",
    { cards: [], layerMap: [inRam], outputOnDevice: false },
    "1 layer. Attention and KV cache of all: in RAM. Feed-forward networks: 100% computed by the processor. Output head: in RAM.",
  );
  checkDescription(
    "none that has a network",
    { cards: [placedCard({ firstLayer: 0, layers: 1 })], layerMap: [none] },
    "1 layer. Attention and KV cache of all: on Vulkan0. Output head: on Vulkan0.",
  );
  checkDescription(
    "none at all",
    { cards: [], layerMap: [], outputOnDevice: false },
    "0 layers. Attention and KV cache of all: in RAM. Output head: in RAM.",
  );
  checkDescription(
    "over two cards",
    overTwoCards,
    "4 layers. Attention and KV cache of 1: on CUDA0, of 2: on Vulkan0, of 1: in RAM. Feed-forward networks: 63% on CUDA0 and Vulkan0, 6% uploaded in every pass, 31% computed by the processor. Output head: on Vulkan0.",
  );
  test("say which of two cards each is on", () => {
    const { columns } = modelOf(overTwoCards);
    expect(columns[1]?.description).toBe("Layer 2: attention and KV cache on CUDA0; network 100% on CUDA0.");
    expect(columns[3]?.description).toBe("Layer 4: attention and KV cache on Vulkan0; network 100% on Vulkan0.");
  });
});

describe("a model", () => {
  function check(name: string, placement: Partial<Placement>, expected: string): void {
    test(name, () => {
      expect(texts(modelOf(placement).facts)).toContain(expected);
    });
  }

  check("purpose", {}, "purpose: chat and commands");
  check("file", {}, "file: /models/m.gguf (4,600 MiB)");
  check("placement", {}, "placement: 2 of 4 layers on Vulkan0");
  check("two cards", overTwoCards, "placement: layer 2 on CUDA0, layers 3 to 4 on Vulkan0");
  check("the memory of one of two cards", overTwoCards, "of that on CUDA0: 1,000 MiB");
  check("the slots of one of two cards", overTwoCards, "upload slots of Vulkan0: 3 of 100 MiB");
  check("processor alone", { cards: [] }, "placement: all 4 layers on the processor");
  check("graphics memory", {}, "graphics memory: 2,000 MiB");
  check("RAM", {}, "weights in RAM: 2,600 MiB");
  check("KV cache", {}, "KV cache (F16): 200 MiB");
  check("KV cache of half the size", { kvCacheType: "q8_0" }, "KV cache (Q8_0): 200 MiB");
  check("slots", {}, "upload slots: 3 of 100 MiB");
  check("context", {}, "context: 8,192 tokens");
  const shortfall = {
    device: "CUDA0",
    unit: "layer",
    limit: "card",
    neededBytes: 100.4 * 2 ** 20,
    freeBytes: 100.2 * 2 ** 20,
  } as const;
  check(
    "what one more layer would take",
    { shortfall },
    "left for more: 100 MiB of CUDA0; a further layer with its KV cache would take 101 MiB",
  );
  check(
    "that the processor's part is left to it",
    { shortfall: { ...shortfall, limit: "speed" } },
    "left for more: more would not make it faster",
  );
  test("says nothing of more where all is on cards", () => {
    expect(texts(modelOf({ shortfall: null }).facts).join()).not.toContain("left for more");
  });
  check("sessions", {}, "sessions: 2");

  test("says why it lies there, and how long passes are predicted to take", () => {
    expect(modelOf().reasons).toEqual(["2 of 4 layers fit.", "The rest is computed by the processor."]);
    expect(texts(modelOf().predictions)).toEqual(["1 token: 31.3 ms", "512 tokens: 1,235 ms"]);
    expect(modelOf({ predictedPasses: [] }).predictions).toEqual([]);
  });

  test("says what became of its memory", () => {
    const spill = { occasion: 1, timesAsLong: null, givenBackBytes: 300 * 2 ** 20 };
    const status = engineStatus({ models: [loadedModel({ spill })] });
    expect(memoryPicture({ status, at: 0 }).models[0]?.reasons.slice(2)).toEqual([
      "The system grants Model M less graphics memory than it had. NMOS gave 300 MiB of it back and computes with that part on the processor.",
      "Close programs that use the graphics card, or lower nmos.engine.vramLimit.",
    ]);
  });

  test("is none or more", () => {
    expect(picture().summary).toContain("No model is loaded.");
    expect(picture({ models: [loadedModel()] }).summary).toBe("1 model loaded.");
    expect(picture({ models: [loadedModel(), loadedModel()] }).summary).toBe("2 models loaded.");
  });

  test("loads", () => {
    expect(picture({ loading: [{ ref: "/models/own.gguf", fraction: 0.507 }] }).loading).toEqual([
      { label: "Loading own.gguf", percent: 50 },
    ]);
  });
});

describe("the figures", () => {
  const before: Sample = { at: 1000, status: engineStatus({ models: [loadedModel({ activity: { passes: 3 } })] }) };

  function figures(given: Parameters<typeof loadedModel>[0], earlier?: Sample, host = {}): string[] {
    const status = engineStatus({ models: [loadedModel(given)], ...host });
    return texts(only(memoryPicture({ status, at: 1500 }, earlier).models).figures);
  }

  function check(name: string, activity: Partial<LoadedModel["activity"]>, earlier: Sample | undefined, line: string) {
    test(name, () => {
      expect(figures({ activity }, earlier)).toContain(line);
    });
  }

  const pass = { tokens: 1, milliseconds: 31.26, predictedMilliseconds: null };
  check("no pass", {}, undefined, "last pass: none yet");
  check("a pass", { lastPass: pass }, undefined, "last pass: 1 token in 31.3 ms");
  check(
    "a predicted pass",
    { lastPass: { tokens: 512, milliseconds: 1000, predictedMilliseconds: 99.96 } },
    undefined,
    "last pass: 512 tokens in 1,000 ms, predicted 100 ms",
  );
  check("passes", { passes: 1234 }, undefined, "passes: 1,234");
  check("computing", { passes: 4 }, before, "state: computing");
  check("idle", { passes: 3 }, before, "state: idle");
  check("not known to compute at first", { passes: 4 }, undefined, "state: idle");
  check("uploads at first", { uploadedBytes: mib }, undefined, "uploaded to the card, by all models: 1 MiB");
  check(
    "uploads per second",
    { passes: 4, uploadedBytes: 100 * mib },
    before,
    "uploaded to the card, by all models: 100 MiB, 200 MiB/s",
  );
  check("no slot was asked for", {}, undefined, "found in a slot: 0");
  check("hits", { slotHits: 3, slotMisses: 1 }, undefined, "found in a slot: 3 (75%)");
  check("experts", { expertUses: 8, expertHits: 6 }, undefined, "chosen experts found in graphics memory: 75%");
  check("misses", { slotMisses: 1 }, undefined, "not yet in a slot: 1");
  check("discarded", { slotDiscarded: 2 }, undefined, "uploaded in vain: 2");
  test("given back until it is needed, but not for good", () => {
    const activity = { releasedBytes: 3 * mib };
    const label = "graphics memory given back until it is needed";
    expect(figures({ activity, awayBytes: 2 * mib })).toContain(`${label}: 2 MiB`);
    expect(figures({ activity }).join()).not.toContain(label);
  });
  check("time saved", { draftedTokens: 80, savedMs: 12_345 }, undefined, "time saved by guessing: 12.3 s");
  check("much time saved", { draftedTokens: 80, savedMs: 900_000 }, undefined, "time saved by guessing: 15 min");
  check(
    "guesses of a draft model",
    { draftedTokens: 80, draftModelTokens: 50, acceptedDraftModelTokens: 40 },
    undefined,
    "guessed by the draft model: 50 tokens, 80% right",
  );
  check("guesses", { draftedTokens: 80, acceptedTokens: 64 }, undefined, "guessed tokens right: 80%");
  check(
    "computed ahead",
    { aheadTokens: 400, usedAheadTokens: 300 },
    undefined,
    "computed ahead: 400 tokens, 75% of them used",
  );
  check("waited", { waitedMs: 12.34 }, undefined, "waited for uploads: 12.3 ms");

  test("say nothing of uploads where there are no slots", () => {
    const labels = figures({ placement: { cards: [placedCard({ slots: 0 })] } }).map((line) => line.split(":")[0]);
    expect(labels).toEqual(["state", "last pass", "passes"]);
  });

  const unrelated: [what: string, now: Parameters<typeof loadedModel>[0], host: Partial<EngineStatus>][] = [
    ["another process", { activity: { passes: 4 } }, { hostPid: 8 }],
    ["a model that was loaded anew", { activity: { passes: 1 } }, {}],
    ["another model", { ref: "other", activity: { passes: 4 } }, {}],
  ];
  test.each(unrelated)("do not compare with those of %s", (_, now, host) => {
    const shown = figures(now, before, host);
    expect(shown).toContain("state: idle");
    expect(shown.join()).not.toContain("/s");
  });
});

describe("a message of the view", () => {
  test.each([null, undefined, "ready", 1, {}, { type: "send" }])("that is %j is none", (value) => {
    expect(parseFromMemoryView(value)).toBeNull();
  });
  test("is ready", () => {
    expect(parseFromMemoryView({ type: "ready", more: 1 })).toEqual({ type: "ready" });
  });
});
