import { describe, expect, it } from "vitest";
import type { NativePlacement } from "../../../src/engine/native/addon";
import { gate } from "./gate";
import { manager, mib, nothing, type Machine } from "./manager_fixture";

const pauseMs = 5_000;
const always = () => true;

/** Half of a model on the card, and nothing known of how fast that is. */
const unknown = {
  deviceBytes: 100 * mib,
  layers: 2,
  deviceLayers: 1,
  cards: [{ device: "GPU" }],
  predictedPasses: [],
} as unknown as NativePlacement;

/** With ghost text's model in memory. */
async function withGhostText(placement: Partial<NativePlacement>, machine: Machine = {}) {
  const made = manager({ fast: "f", plan: () => Promise.resolve(placement), ...machine });
  await made.one.use("m", "main", nothing);
  await made.one.unload("m");
  await made.one.use("f", "fast", nothing);
  made.planned.length = 0;
  return made;
}

/** The files that cards were measured for. */
function measured({ planned }: ReturnType<typeof manager>): string[] {
  return planned.filter((options) => "forecast" in options && options.forecast).map(({ path }) => path);
}

describe("how fast a card is for the model of the chat", () => {
  it("is found out in a pause, once", async () => {
    const made = await withGhostText(unknown, { settings: { contextLength: 3000 } });
    for (let minute = 0; minute < 5; minute++)
      await made.one.measureAhead(Date.now() + pauseMs + minute * 60_000, always);
    expect(measured(made)).toEqual(["m"]);
    expect(made.planned.at(-1)).toMatchObject({ contextLength: 3000, vramReservedBytes: 0 });
  });

  it("is found out anew when settings have changed", async () => {
    const made = await withGhostText(unknown);
    await made.one.measureAhead(Date.now() + pauseMs, always);
    await made.one.reload();
    await made.one.use("f", "fast", nothing);
    await made.one.measureAhead(Date.now() + pauseMs, always);
    expect(measured(made)).toEqual(["m", "m"]);
  });

  it.each<[where: string, placement: Partial<NativePlacement>]>([
    ["there is no card for it", { ...unknown, deviceLayers: 0, cards: [] }],
    ["the card holds all of it", { ...unknown, deviceLayers: 2 }],
    ["it is known", { ...unknown, predictedPasses: [{ tokens: 1, milliseconds: 9 }] }],
  ])("is not asked where %s", async (_, placement) => {
    const made = await withGhostText(placement);
    await made.one.measureAhead(Date.now() + pauseMs, always);
    expect(measured(made)).toEqual([]);
    expect(made.planned.map(({ path }) => path)).toEqual(["m"]);
  });

  it("is not asked of graphics whose memory is RAM", async () => {
    const made = await withGhostText(unknown);
    made.card.kind = "integrated";
    await made.one.measureAhead(Date.now() + pauseMs, always);
    expect(measured(made)).toEqual([]);
  });

  it("is not found out while somebody asks, or has just asked", async () => {
    const made = await withGhostText(unknown);
    await made.one.measureAhead(Date.now(), always);
    await made.one.use("f", "fast", () => made.one.measureAhead(Date.now() + pauseMs, always));
    expect(measured(made)).toEqual([]);
    await made.one.measureAhead(Date.now() + pauseMs, always);
    expect(measured(made)).toEqual(["m"]);
  });

  it("is not found out when somebody asks while the model is looked for", async () => {
    const looking = gate();
    let choosing = nothing;
    const made = await withGhostText(unknown, { choosing: () => choosing() });
    choosing = () => looking.opened;
    const measuring = made.one.measureAhead(Date.now() + pauseMs, always);
    choosing = nothing;
    await made.one.use("f", "fast", async () => {
      looking.open();
      await measuring;
    });
    expect(measured(made)).toEqual([]);
  });

  it("is left to the load where the machine may not work unasked, until it may", async () => {
    const made = await withGhostText(unknown);
    await made.one.measureAhead(Date.now() + pauseMs, () => false);
    expect(measured(made)).toEqual([]);
    await made.one.measureAhead(Date.now() + pauseMs + 60_000, always);
    expect(measured(made)).toEqual(["m"]);
  });

  it("is of no interest before anything is loaded, and for a model that is", async () => {
    const made = manager({ plan: () => Promise.resolve(unknown) });
    await made.one.measureAhead(Date.now() + pauseMs, always);
    await made.one.use("m", "main", nothing);
    made.planned.length = 0;
    await made.one.measureAhead(Date.now() + pauseMs, always);
    expect(made.planned).toEqual([]);
  });

  it("is left to the load where it cannot be found out", async () => {
    let fails = false;
    const plan = () => (fails ? Promise.reject(new Error("no memory")) : Promise.resolve(unknown));
    const made = await withGhostText(unknown, { plan });
    fails = true;
    await made.one.measureAhead(Date.now() + pauseMs, always);
    expect(made.lines.at(-1)).toMatch(/with the first load: no memory$/);
    await made.one.use("m", "main", nothing);
    expect(made.events.filter((event) => event === "load m 8192")).toHaveLength(2);
  });
});
