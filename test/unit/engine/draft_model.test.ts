import { describe, expect, it } from "vitest";
import type { ModelManager } from "../../../src/engine/host/model_manager";
import { manager, mib, nothing, type Machine } from "./manager_fixture";

async function answer(one: ModelManager, model: string, role: "fast" | "main" = "main"): Promise<void> {
  await one.use(model, role, async (handle) => {
    await handle.generate({ tokens: Int32Array.of(1), priority: "chat", maxTokens: 1 });
  });
  // What was begun beside it ends.
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** What is loaded, drafted, answered and closed while so many answers are given. */
function check(name: string, machine: Machine, uses: [string, "fast" | "main"][], expected: string[]): void {
  it(name, async () => {
    const { one, events } = manager(machine);
    for (const [model, role] of uses) await answer(one, model, role);
    expect(events.map((event) => event.replace(/ 8192$/, ""))).toEqual(expected);
  });
}

describe("the model of ghost text guesses the answers of the main one", () => {
  check(
    "as soon as it is in memory and has a session for them",
    {},
    [
      ["f", "fast"],
      ["m", "main"],
      ["m", "main"],
    ],
    ["load f", "generate f", "load m", "draft f for m", "generate m", "generate m with draft"],
  );
  check(
    "and is loaded beside the first answer where a card computes",
    { fast: "f", deviceLayers: 2 },
    [
      ["m", "main"],
      ["m", "main"],
      ["m", "main"],
    ],
    ["load m", "generate m", "load f", "draft f for m", "generate m", "generate m with draft"],
  );
  check(
    "and on the processor alone where it is much smaller",
    { fast: "f", mainBytes: 5 },
    [
      ["m", "main"],
      ["m", "main"],
      ["m", "main"],
    ],
    ["load m", "generate m", "load f", "draft f for m", "generate m", "generate m with draft"],
  );
  for (const deviceLayers of [0, 2]) {
    check(
      `but not where that cannot pay, with ${String(deviceLayers)} of two layers on the card`,
      { fast: "f", mainBytes: deviceLayers === 0 ? 4 : 1, deviceLayers },
      [
        ["m", "main"],
        ["f", "fast"],
        ["m", "main"],
        ["m", "main"],
      ],
      ["load m", "generate m", "load f", "generate f", "generate m", "generate m"],
    );
  }
  check(
    "but not its own",
    { fast: "f", deviceLayers: 2 },
    [
      ["f", "main"],
      ["f", "main"],
      ["f", "fast"],
      ["f", "main"],
    ],
    ["load f", "generate f", "generate f", "generate f", "generate f"],
  );
  check(
    "unless the main one cannot take wrong guesses back",
    { fast: "f", deviceLayers: 2, takesTokensBack: false },
    [
      ["m", "main"],
      ["f", "fast"],
      ["m", "main"],
      ["m", "main"],
    ],
    ["load m", "generate m", "load f", "generate f", "generate m", "generate m"],
  );
  check(
    "unless the settings say that nothing is guessed",
    { fast: "f", deviceLayers: 2, settings: { speculation: "off" } },
    [
      ["f", "fast"],
      ["m", "main"],
      ["m", "main"],
    ],
    ["load f", "generate f", "load m", "generate m", "generate m"],
  );

  check(
    "or that all is exact, which a card is not",
    { fast: "f", deviceLayers: 2, settings: { speculation: "exact" } },
    [
      ["f", "fast"],
      ["m", "main"],
      ["m", "main"],
    ],
    ["load f", "generate f", "load m", "generate m", "generate m"],
  );

  it("or says once why not", async () => {
    const { one, events, lines } = manager({ mayDraft: false });
    await answer(one, "f", "fast");
    for (let turn = 0; turn < 3; turn++) await answer(one, "m");
    expect(events.filter((event) => event.includes("draft"))).toEqual([]);
    expect(lines.filter((line) => line.includes("f guesses no answers of"))).toHaveLength(1);
  });

  it("gets room for its session on a full card from the main one", async () => {
    const { one, events, card } = manager({ deviceLayers: 2, releasable: 64 * mib });
    await answer(one, "f", "fast");
    card.memoryFree = 384 * mib;
    await answer(one, "m");
    await answer(one, "m");
    expect(events.slice(2).map((event) => event.replace(/ 8192$/, ""))).toEqual([
      "load m",
      "release m 2",
      "draft f for m",
      "generate m",
      "generate m with draft",
    ]);
  });

  it("gives that back when it leaves", async () => {
    const { one, events, card } = manager({ deviceLayers: 2, releasable: 64 * mib });
    await answer(one, "f", "fast");
    card.memoryFree = 384 * mib;
    await answer(one, "m");
    card.memoryFree = 2 ** 40;
    await answer(one, "m");
    expect(events).not.toContain("prefetch m");
    await one.unload("f");
    await answer(one, "m");
    expect(events).toContain("prefetch m");
  });

  it("does without a session where there is no room for one, and nothing is given back for it", async () => {
    const { one, events, card, lines } = manager({ deviceLayers: 2 });
    await answer(one, "f", "fast");
    card.memoryFree = 384 * mib;
    for (let turn = 0; turn < 3; turn++) await answer(one, "m");
    expect(events.filter((event) => event.startsWith("draft"))).toEqual([]);
    expect(lines.filter((line) => line.includes("f guesses no answers of"))).toHaveLength(1);
  });

  it("takes no memory of other models", async () => {
    const { one, events } = manager({ fast: "f", deviceLayers: 2, room: (loaded) => (loaded > 1 ? 0 : Infinity) });
    await one.use("other", "main", nothing);
    for (let turn = 0; turn < 2; turn++) await answer(one, "m");
    expect(events.filter((event) => event.startsWith("close"))).toEqual([]);
    expect(one.loaded().map(({ ref }) => ref)).toEqual(["other", "m"]);
  });

  it("is asked once to load, however that ends", async () => {
    const { one, lines } = manager({ deviceLayers: 2 });
    for (let turn = 0; turn < 3; turn++) await answer(one, "m");
    expect(lines.filter((line) => line.includes("no model guesses the answers of m"))).toHaveLength(1);
  });

  it("with a session that counts as its own and ends with the main model", async () => {
    const { one, events } = manager();
    await answer(one, "f", "fast");
    await answer(one, "m");
    expect(one.loaded().map(({ ref, sessions }) => [ref, sessions])).toEqual([
      ["f", 2],
      ["m", 1],
    ]);
    await one.unload("m");
    expect(events.slice(-2)).toEqual(["close draft of f", "close m"]);
    expect(one.loaded().map(({ ref, sessions }) => [ref, sessions])).toEqual([["f", 1]]);
  });

  it("anew when it was loaded anew", async () => {
    const { one, events } = manager();
    await answer(one, "f", "fast");
    await answer(one, "m");
    await one.unload("f");
    await answer(one, "m");
    await answer(one, "f", "fast");
    await answer(one, "m");
    await answer(one, "m");
    expect(events.filter((event) => event.startsWith("generate m"))).toEqual([
      "generate m",
      "generate m",
      "generate m",
      "generate m with draft",
    ]);
  });

  it("and gets the graphics memory back that it gave while it was idle, with requests that it guesses for", async () => {
    const { one, events } = manager({ releasable: 64 * mib, deviceLayers: 2 });
    await answer(one, "f", "fast");
    await answer(one, "m");
    await one.giveBack(Date.now() + 6 * 60_000);
    expect(events.slice(-2)).toEqual(["release f 64", "release m 64"]);
    await answer(one, "m");
    expect(events.filter((event) => event.startsWith("filled"))).toEqual(["filled m", "filled f"]);
  });

  it("and does not fall idle meanwhile", async () => {
    const { one, events } = manager({ settings: { idleUnloadMinutes: 1 } });
    await answer(one, "f", "fast");
    await answer(one, "m");
    const later = Date.now() + 59_000;
    await new Promise((resolve) => setTimeout(resolve, 5));
    await one.use("m", "main", nothing);
    await answer(one, "m");
    await one.giveBack(later);
    expect(events.some((event) => event.startsWith("close"))).toBe(false);
  });
});
