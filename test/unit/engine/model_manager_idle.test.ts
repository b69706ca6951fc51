import { describe, expect, it } from "vitest";
import { gate } from "./gate";
import { manager, mib, nothing } from "./manager_fixture";

describe("graphics memory", () => {
  const idleFor = (minutes: number) => Date.now() + minutes * 60_000;
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  it.each<[name: string, setting: number, minutes: number, given: boolean]>([
    ["too early", 5, 4, false],
    ["idle", 5, 6, true],
    ["never", 0, 14, false],
  ])("is given back after a time without requests: %s", async (_, idleReleaseMinutes, minutes, given) => {
    const { one, events } = manager({ settings: { idleReleaseMinutes }, releasable: 2 * mib, deviceLayers: 2 });
    await one.use("a", "main", nothing);
    expect(one.loaded()[0]?.placement.deviceBytes).toBe(2 * mib);
    await one.giveBack(idleFor(minutes));
    expect(events.includes("release a 2")).toBe(given);
    expect(one.loaded()[0]?.placement.deviceBytes).toBe(given ? 0 : 2 * mib);
  });

  it("is filled again beside the next request, once", async () => {
    const { opened: filling, open: fill } = gate();
    const { one, events } = manager({ releasable: 2 * mib, filling });
    await one.use("a", "main", nothing);
    await one.giveBack(idleFor(6));
    await Promise.all([1, 2].map(() => one.use("a", "main", nothing)));
    expect(events).toEqual(["load a 8192", "release a 2", "prefetch a"]);
    fill();
    await settled();
    await one.use("a", "main", nothing);
    expect(events.slice(3)).toEqual(["filled a"]);
  });

  it("is not filled again while others have taken it", async () => {
    const { one, events, card } = manager({ releasable: 2 * mib });
    await one.use("a", "main", nothing);
    await one.giveBack(idleFor(6));
    card.memoryFree = 385 * mib;
    await one.use("a", "main", nothing);
    expect(events).not.toContain("prefetch a");
    card.memoryFree = 386 * mib;
    await one.use("a", "main", nothing);
    expect(events).toContain("prefetch a");
  });

  it("goes to other programs when they need it, also while it is being filled: the model used longest ago gives first", async () => {
    const { opened: filling, open: fill } = gate();
    const { one, events, card } = manager({ releasable: 200 * mib, filling });
    await one.use("a", "main", nothing);
    await one.use("b", "main", nothing);
    card.memoryFree = 100 * mib;
    await one.giveBack(idleFor(0));
    expect(events.slice(2)).toEqual(["release a 200", "release b 84"]);
    card.memoryFree = 2 ** 40;
    await one.use("a", "main", nothing);
    card.memoryFree = 100 * mib;
    await one.giveBack(idleFor(0));
    fill();
    await settled();
    expect(events).not.toContain("filled a");
  });

  it("is not filled beside a load, which would wait: after it for a model in use, else with the next request", async () => {
    const { one, events } = manager({ releasable: 2 * mib, filling: gate().opened });
    for (const model of ["a", "b"]) await one.use(model, "main", nothing);
    await one.giveBack(idleFor(6));
    await one.use("b", "main", nothing);
    await one.use("a", "main", async () => {
      await settled();
      const other = one.use("c", "main", nothing);
      while (one.loading().length === 0) await Promise.resolve();
      await one.use("a", "main", nothing);
      await other;
      await settled();
    });
    expect(events.slice(4)).toEqual(["prefetch b", "prefetch a", "load c 8192", "prefetch a"]);
    await one.use("b", "main", nothing);
    expect(events.at(-1)).toBe("prefetch b");
  });

  it("is not filled for a chat that nobody is at while somebody types, and goes on when it is asked for again", async () => {
    const { one, events, stoppedFillings } = manager({ releasable: 2 * mib, filling: gate().opened });
    await one.use("a", "main", nothing);
    await one.use("b", "fast", nothing);
    await one.giveBack(idleFor(6));
    await one.use("a", "main", nothing, { isAhead: true });
    await one.use("b", "fast", nothing, { isIdle: true });
    await settled();
    expect([...events.slice(4), ...stoppedFillings]).toEqual(["prefetch a"]);
    await one.use("b", "fast", nothing, { isAhead: true });
    await settled();
    // Its own memory is filled, for the next key.
    expect([...events.slice(5), ...stoppedFillings]).toEqual(["prefetch b", "a"]);
    await one.use("a", "main", async () => {
      await one.use("b", "fast", nothing);
      await settled();
    });
    expect([...events.slice(6), ...stoppedFillings]).toEqual(["prefetch a", "a"]);
  });

  it("that cannot be filled fails no request and keeps no model in use", async () => {
    const { one, card } = manager({ releasable: 2 * mib });
    await one.use("a", "main", nothing);
    await one.giveBack(idleFor(6));
    card.isLost = true;
    await one.use("a", "main", nothing);
    await one.unloadUnused("a");
    expect(one.loaded()).toEqual([]);
  });

  it("makes room for a session that the card refuses", async () => {
    const { one, events } = manager({ releasable: 8 * mib, deviceLayers: 1, refusals: 1 });
    await one.use("a", "main", (handle) => handle.prefill({ tokens: Int32Array.of(1), priority: "chat" }));
    await one.use("a", "main", nothing);
    expect(events).toEqual(["load a 8192", "release a 1"]);
  });

  it("stays as it is on a card with room", async () => {
    const { one, events, card } = manager({ releasable: 200 * mib });
    await one.use("a", "main", nothing);
    card.memoryFree = 128 * mib;
    await one.giveBack(idleFor(0));
    expect(events).toEqual(["load a 8192"]);
  });
});

describe("what the system may have put away", () => {
  const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
  const minute = 60_000;
  const bench = (given: Parameters<typeof manager>[0] = {}) => {
    const clock = { time: 0 };
    return { clock, ...manager({ now: () => clock.time, ...given }) };
  };

  it("is read in where somebody is about to ask and has not for two minutes, once", async () => {
    const { one, events, clock } = bench();
    await one.use("a", "main", nothing);
    clock.time = 2 * minute - 1;
    await one.use("a", "main", nothing, { isAhead: true });
    expect(events).toEqual(["load a 8192"]);
    clock.time += 2 * minute;
    await one.use("a", "main", nothing, { isAhead: true });
    await settled();
    await one.use("a", "main", nothing, { isAhead: true });
    expect(events).toEqual(["load a 8192", "page in a"]);
  });

  it.each<[name: string, options: Parameters<ReturnType<typeof manager>["one"]["use"]>[3]]>([
    ["for a request, which reads what it needs", {}],
    ["where nobody is at it", { isAhead: true, isIdle: true }],
  ])("is left alone %s", async (_, options) => {
    const { one, events, clock } = bench();
    await one.use("a", "main", nothing);
    clock.time = 10 * minute;
    await one.use("a", "main", nothing, options);
    expect(events).toEqual(["load a 8192"]);
  });

  it("is not read in further for a chat while somebody types", async () => {
    const { one, events, stoppedFillings, clock } = bench({ filling: gate().opened });
    await one.use("a", "main", nothing);
    await one.use("b", "fast", nothing);
    clock.time = 10 * minute;
    await one.use("a", "main", nothing, { isAhead: true });
    await one.use("b", "fast", nothing, { isAhead: true });
    await settled();
    expect([...events.slice(2), ...stoppedFillings]).toEqual(["page in a", "page in b", "a"]);
  });

  it("is read in further when somebody is at the chat again, until it is there", async () => {
    const filling = gate();
    const { one, events, clock } = bench({ filling: filling.opened });
    await one.use("a", "main", nothing);
    await one.use("b", "fast", nothing);
    clock.time = 10 * minute;
    await one.use("a", "main", nothing, { isAhead: true });
    await one.use("b", "fast", nothing, { isAhead: true });
    await settled();
    filling.open();
    await settled();
    for (let times = 0; times < 2; ++times) {
      await one.use("a", "main", nothing, { isAhead: true });
      await settled();
    }
    expect(events.slice(2)).toEqual(["page in a", "page in b", "page in a"]);
  });
});
