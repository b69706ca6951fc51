import { describe, expect, it, vi } from "vitest";
import type { ModelEntry } from "../../../src/engine/host/model_entry";
import { SpillRelief } from "../../../src/engine/host/spill_relief";
import { manager, mib, nothing, type Machine } from "./manager_fixture";

const settled = () => new Promise((resolve) => setTimeout(resolve, 10));

/** A model on the card, of 1000 MiB. */
async function loaded(machine: Machine) {
  const made = manager({ deviceLayers: 1000, ...machine });
  await made.one.use("a", "main", nothing);
  return made;
}

describe("a card whose passes become slow", () => {
  it("is given memory back at once, for good, and the user learns of it", async () => {
    const { one, events, slowness } = await loaded({ releasable: 800 * mib });
    expect(one.loaded()[0]?.spill).toBeNull();
    slowness.timesAsLong = 9.5;
    await one.use("a", "main", nothing);
    await settled();
    await one.use("a", "main", nothing);
    await settled();
    expect(events).toEqual(["load a 8192", "release a 500"]);
    expect(one.loaded()[0]?.spill).toEqual({ occasion: 1, timesAsLong: 9.5, givenBackBytes: 500 * mib });
  });

  it("is looked after during long answers, too", async () => {
    const { one, events, slowness } = await loaded({ releasable: 800 * mib });
    await one.use("a", "main", async () => {
      slowness.timesAsLong = 9.5;
      await one.giveBack(Date.now());
      expect(events).toEqual(["load a 8192", "release a 500"]);
    });
  });

  it("gets less of a model that can give nothing back, which is loaded anew, until it was unloaded", async () => {
    const { one, events, slowness, granted } = await loaded({});
    slowness.timesAsLong = 9.5;
    await one.use("a", "main", nothing);
    await settled();
    slowness.timesAsLong = null;
    await one.use("a", "main", nothing);
    expect(events).toEqual(["load a 8192", "release a 0", "close a", "load a 8192"]);
    expect(granted()).toEqual([null, 500 * mib]);
    expect(one.loaded()[0]?.spill).toMatchObject({ occasion: 1, timesAsLong: 9.5 });
    await one.unload("a");
    await one.use("a", "main", nothing);
    expect(granted().at(-1)).toBeNull();
    expect(one.loaded()[0]?.spill).toBeNull();
  });

  it("gets less of it beside the limit of the setting, too", async () => {
    const { one, slowness, asked } = await loaded({ settings: { vramLimitMiB: 1200 } });
    slowness.timesAsLong = 9.5;
    await one.use("a", "main", nothing);
    await settled();
    slowness.timesAsLong = null;
    await one.use("a", "main", nothing);
    // What others have of it is another matter, and of no effect here.
    const { vramLimitBytes, vramUsedBytes, vramGrantedBytes } = asked.at(-1) ?? {};
    expect([vramLimitBytes, vramUsedBytes, vramGrantedBytes]).toEqual([1200 * mib, {}, { GPU: 500 * mib }]);
  });

  it("is not unloaded under a request", async () => {
    const { one, events, slowness } = await loaded({});
    await one.use("a", "main", async () => {
      slowness.timesAsLong = 9.5;
      await one.giveBack(Date.now());
      slowness.timesAsLong = null;
      expect(events).toEqual(["load a 8192", "release a 0"]);
    });
    expect(events.at(-1)).toBe("close a");
  });
});

it("memory beyond what the system grants is told to the user as well", async () => {
  const { one, card } = await loaded({ releasable: 800 * mib });
  Object.assign(card, { memoryFree: 0, memoryBeyond: 100 * mib });
  await one.giveBack(Date.now());
  expect(one.loaded()[0]?.spill).toEqual({ occasion: 1, timesAsLong: null, givenBackBytes: 484 * mib });
});

it.each([
  ["is seen soon while a model is in use", 0, 100, ["load a 8192", "release a 484"]],
  ["is left to the next look when none is", 60_000, 100, ["load a 8192"]],
  ["is not what other programs fill", 0, 0, ["load a 8192"]],
])("memory beyond what the system grants %s", async (_, idleMs, beyondMib, expected) => {
  const { one, card, events } = await loaded({ releasable: 800 * mib });
  Object.assign(card, { memoryFree: 0, memoryBeyond: beyondMib * mib });
  await one.lookForSpills(Date.now() + idleMs);
  expect(events).toEqual(expected);
});

it("memory that was filled again is no longer told to the user, and counts once", async () => {
  const { one, card, events } = await loaded({ releasable: 800 * mib });
  for (let time = 0; time < 2; time++) {
    Object.assign(card, { memoryFree: 0, memoryBeyond: 100 * mib });
    await one.giveBack(Date.now());
    expect(one.loaded()[0]?.spill).toEqual({ occasion: 1, timesAsLong: null, givenBackBytes: 484 * mib });
    Object.assign(card, { memoryFree: 2 ** 40, memoryBeyond: 0 });
    await one.use("a", "main", nothing);
    await settled();
    expect(events.at(-1)).toBe("filled a");
    expect(one.loaded()[0]?.spill).toBeNull();
  }
});

it("one model at a time is loaded anew with less of a card", async () => {
  const { one, events, lines, card } = await loaded({});
  await one.use("b", "main", nothing);
  await one.use("a", "main", async () => {
    await one.use("b", "main", nothing);
    Object.assign(card, { memoryFree: 0, memoryBeyond: 100 * mib });
    // The first one's memory is not there yet while it still answers.
    for (let time = 0; time < 3; time++) await one.giveBack(Date.now());
    expect(one.loaded().map(({ ref }) => ref)).toEqual(["a", "b"]);
    expect(lines.filter((line) => line.includes("loaded anew"))).toHaveLength(1);
    Object.assign(card, { memoryFree: 2 ** 40, memoryBeyond: 0 });
  });
  expect(events.filter((event) => event.startsWith("close"))).toHaveLength(1);
});

it("memory beyond what the system grants that cannot be given back is not taken again", async () => {
  const { one, events, card, granted } = await loaded({});
  Object.assign(card, { memoryFree: 0, memoryBeyond: 100 * mib });
  await one.giveBack(Date.now());
  Object.assign(card, { memoryFree: 2 ** 40, memoryBeyond: 0 });
  await one.use("a", "main", nothing);
  expect(events).toEqual(["load a 8192", "release a 0", "close a", "load a 8192"]);
  expect(granted()).toEqual([null, 516 * mib]);
  expect(one.loaded()[0]?.spill).toEqual({ occasion: 1, timesAsLong: null, givenBackBytes: 484 * mib });
});

it("slow passes of graphics whose memory is RAM lead to nothing", async () => {
  const { one, events, card, slowness } = await loaded({ releasable: 800 * mib });
  card.kind = "integrated";
  slowness.timesAsLong = 9.5;
  await one.giveBack(Date.now());
  expect(events).toEqual(["load a 8192"]);
});

it("a card that is full, and no more, is no reason to tell the user", async () => {
  const { one, card } = await loaded({ releasable: 800 * mib });
  card.memoryFree = 0;
  await one.giveBack(Date.now());
  expect(one.loaded()[0]?.spill).toBeNull();
});

describe("a model over several cards", () => {
  /** 300 MiB on A, 200 on B, 100 in RAM that a processor's graphics take; `releasable` MiB can leave A and B. */
  function overThree(releasable: { A: number; B: number }) {
    const given: string[] = [];
    const reload = vi.fn(nothing);
    const left = new Map(Object.entries(releasable));
    const giveUp = (_: string, bytes: number, device: string) => {
      const released = Math.min(bytes / mib, left.get(device) ?? 0);
      given.push(`${String(bytes / mib)} of ${device}`);
      return Promise.resolve(released * mib);
    };
    const cards = [
      { device: "A", bytes: 300 * mib, kvBytes: 0 },
      { device: "B", bytes: 200 * mib, kvBytes: 0 },
      { device: "iGPU", bytes: 100 * mib, kvBytes: 0 },
    ];
    const activity = { timesAsLong: 9.5, releasedBytes: 0, releasedOfCards: [0, 0, 0] };
    const model = { placement: { kvBytes: 0, deviceBytes: 600 * mib, cards }, activity };
    const graphics = { giveUp, awayBytes: 0 };
    const entry = {
      key: "a",
      installed: { ref: "a" },
      handle: { model, sessions: 1 },
      graphics,
    } as unknown as ModelEntry;
    const relief = new SpillRelief({
      reload,
      isCard: (device) => device !== "iGPU",
      log: () => undefined,
      onChanged: () => undefined,
      now: Date.now,
    });
    return { relief, entry, graphics, given, reload };
  }

  it("gives half of what it has on every card", async () => {
    const { relief, entry, given, reload } = overThree({ A: 1000, B: 60 });
    await relief.check(entry);
    expect(given).toEqual(["150 of A", "100 of B"]);
    expect(entry.spill?.givenBackBytes).toBe(210 * mib);
    expect(relief.limitsFor("a")).toEqual({});
    expect(reload).not.toHaveBeenCalled();
  });

  it("is loaded anew with less on every card where none gives anything back", async () => {
    const { relief, entry, reload } = overThree({ A: 0, B: 0 });
    await relief.check(entry);
    expect(entry.spill?.givenBackBytes).toBe(250 * mib);
    expect(relief.limitsFor("a")).toEqual({ A: 150 * mib, B: 100 * mib });
    expect(reload).toHaveBeenCalledExactlyOnceWith(entry);
  });

  it("is not loaded anew while memory that it gave back is away for a while", async () => {
    const { relief, entry, graphics, reload } = overThree({ A: 0, B: 0 });
    graphics.awayBytes = 1;
    await relief.check(entry);
    expect(reload).not.toHaveBeenCalled();
    expect(relief.limitsFor("a")).toEqual({});
    expect(relief.of("a")).toBeNull();
  });

  it("gets less of the card only that the system grants less of, and never more again", async () => {
    const { relief, entry } = overThree({ A: 0, B: 0 });
    await relief.shrink([entry], 50 * mib, "B");
    expect(relief.limitsFor("a")).toEqual({ B: 150 * mib });
    await relief.shrink([entry], 50 * mib, "none of its cards");
    await relief.shrink([entry], 10 * mib, "B");
    await relief.shrink([entry], 500 * mib, "A");
    expect(relief.limitsFor("a")).toEqual({ A: 0, B: 150 * mib });
  });
});

it("what follows within minutes is the same occasion", () => {
  const now = vi.fn(() => 0);
  const changed = vi.fn();
  const relief = new SpillRelief({
    reload: nothing,
    isCard: () => true,
    log: () => undefined,
    onChanged: changed,
    now,
  });
  const entry = { key: "a" } as ModelEntry;
  const note = (minutes: number, times: number | null, bytes: number) => {
    now.mockReturnValue(minutes * 60_000);
    relief.note(entry, times, bytes);
    return entry.spill;
  };
  expect(note(0, 8, 100)).toEqual({ occasion: 1, timesAsLong: 8, givenBackBytes: 100 });
  expect(note(9, null, 50)).toEqual({ occasion: 1, timesAsLong: 8, givenBackBytes: 150 });
  expect(note(18, 5, 1)).toEqual({ occasion: 1, timesAsLong: 5, givenBackBytes: 151 });
  expect(note(28, null, 7)).toEqual({ occasion: 2, timesAsLong: null, givenBackBytes: 7 });
  expect(changed).toHaveBeenCalledTimes(4);
});
