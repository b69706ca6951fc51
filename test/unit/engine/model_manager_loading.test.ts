import { describe, expect, it } from "vitest";
import type { EngineSettings } from "../../../src/shared/engine_settings";
import { toEngineError } from "../../../src/shared/errors";
import { gate } from "./gate";
import { begun, manager, nothing, type Machine } from "./manager_fixture";

const codeOf = (thrown: unknown) => toEngineError(thrown).code;

describe("loading", () => {
  it("happens once for requests that come at the same time", async () => {
    const { one, events } = manager();
    await Promise.all([1, 2, 3].map(() => one.use("a", "main", nothing)));
    await one.use("a", "fast", nothing);
    expect(events).toEqual(["load a 8192"]);
    expect(one.loaded().map(({ ref, roles }) => [ref, roles])).toEqual([["a", ["main", "fast"]]]);
  });

  it("reports its progress to everybody who waits", async () => {
    const { one } = manager();
    const seen: string[] = [];
    const uses = ["first", "second"].map((who) =>
      one.use("a", "main", nothing, { onProgress: (fraction) => seen.push(`${who} ${String(fraction)}`) }),
    );
    await Promise.all(uses);
    expect(seen).toEqual(["first 0.5", "second 0.5"]);
    expect(one.loading()).toEqual([]);
  });

  it("is cancelled when nobody waits for it any more, and a later request loads anew", async () => {
    const { opened, open } = gate();
    const { one, events } = manager({ until: opened });
    const controllers = [new AbortController(), new AbortController()];
    const loads = controllers.map(({ signal }) => one.load("a", "main", { signal }).then(() => "loaded", codeOf));
    await begun(one);
    for (const controller of controllers) controller.abort();
    expect(await Promise.all(loads)).toEqual(["CANCELLED", "CANCELLED"]);
    const later = one.load("a", "main");
    open();
    expect((await later).ref).toBe("a");
    expect(events).toEqual(["cancel a", "load a 8192"]);
    expect(one.loading()).toEqual([]);
  });

  it("is not begun for a request that was cancelled while its model was looked for", async () => {
    const { opened, open } = gate();
    const { one, events } = manager({ choosing: () => opened });
    const controller = new AbortController();
    const using = one.use("a", "main", nothing, { signal: controller.signal }).then(() => "used", codeOf);
    controller.abort();
    expect(await using).toBe("CANCELLED");
    open();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect([events, one.loading()]).toEqual([[], []]);
  });

  it("is cancelled by an unload, and a later request loads anew", async () => {
    const { opened, open } = gate();
    const { one, events } = manager({ until: opened });
    const using = one.use("a", "main", nothing).then(() => "used", codeOf);
    await begun(one);
    await one.unload();
    expect(one.loading()).toEqual([]);
    open();
    expect(await using).toBe("CANCELLED");
    await one.use("a", "main", nothing);
    expect(events).toEqual(["cancel a", "load a 8192"]);
  });

  it("goes on while somebody else waits for it", async () => {
    const { opened, open } = gate();
    const { one, events } = manager({ until: opened });
    const controller = new AbortController();
    const leaving = one.load("a", "main", { signal: controller.signal }).then(() => "loaded", codeOf);
    const staying = one.use("a", "fast", nothing);
    await begun(one);
    controller.abort();
    open();
    expect(await leaving).toBe("CANCELLED");
    await staying;
    expect(events).toEqual(["load a 8192"]);
  });

  it("begins again when settings change meanwhile", async () => {
    const settings = { contextLength: 2000 };
    const { opened, open } = gate();
    const { one, events } = manager({ settings, until: opened });
    const using = one.use("a", "main", ({ contextLength }) => Promise.resolve(contextLength));
    await begun(one);
    settings.contextLength = 3000;
    await one.reload();
    open();
    expect(await using).toBe(3000);
    expect(events).toEqual(["load a 2000", "close a", "load a 3000"]);
  });

  it.each<[name: string, machine: Machine, gpu: EngineSettings["gpu"], events: string[]]>([
    [
      "once more when an old copy has left the card",
      { deviceLayers: 1 },
      "auto",
      ["load", "load", "close", "close", "load"],
    ],
    ["only once where the old copy held nothing of a card", { deviceLayers: 0 }, "auto", ["load", "load", "close"]],
    ["only once where cards are no longer used", { deviceLayers: 1 }, "off", ["load", "load", "close"]],
  ])("begins %s", async (_, machine, gpu, expected) => {
    const settings: Partial<EngineSettings> = {};
    const { one, events } = manager({ ...machine, settings });
    const { opened, open } = gate();
    const { opened: used, open: use } = gate();
    const first = one.use("a", "main", async () => {
      use();
      await opened;
    });
    await used;
    settings.gpu = gpu;
    await one.reload();
    for (let turn = 0; turn < 2; turn++) await one.use("a", "main", nothing);
    expect(events).toEqual(["load a 8192", "load a 8192"]);
    open();
    await first;
    await one.use("a", "main", nothing);
    expect(events.map((event) => event.split(" ")[0])).toEqual(expected);
  });

  it("once more waits until nobody uses the copy that is to go", async () => {
    const reason = "unloading a: there is more graphics memory for it now";
    const { one, events, lines } = manager({ deviceLayers: 1 });
    const [old, crowded] = [gate(), gate()];
    const hold = async (until: Promise<void>): Promise<Promise<void>[]> => {
      const { opened, open } = gate();
      const using = one.use("a", "main", () => (open(), until));
      await opened;
      return [using];
    };
    const [first] = await hold(old.opened);
    await one.reload();
    const [second] = await hold(crowded.opened);
    old.open();
    await first;
    expect(events.map((event) => event.split(" ")[0])).toEqual(["load", "load", "close"]);
    expect(lines).not.toContain(reason);
    crowded.open();
    await second;
    expect(events.map((event) => event.split(" ")[0])).toEqual(["load", "load", "close", "close"]);
    expect(lines).toContain(reason);
  });

  it("is not needed where a model is ready: not one that is to go, nor one without the context that is asked for", async () => {
    const settings: Partial<EngineSettings> = {};
    const { one } = manager({ settings });
    const ready = () => (["fast", "main"] as const).filter((role) => one.ready("a", role)?.ref === "a");
    expect(ready()).toEqual([]);
    await one.use("a", "fast", async () => {
      expect(ready()).toEqual(["fast", "main"]);
      settings.contextLength = 3000;
      expect(ready()).toEqual(["fast"]);
      await one.reload();
      expect(one.loaded()).toHaveLength(1);
      expect(ready()).toEqual([]);
      await one.use("a", "main", nothing);
      expect(one.loaded()).toHaveLength(2);
      expect(ready()).toEqual(["fast", "main"]);
    });
  });

  it("that failed is tried again by the next request", async () => {
    let full = true;
    const { one } = manager({ room: () => (full ? 0 : Infinity) });
    await expect(one.use("a", "main", nothing)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    full = false;
    await one.use("a", "main", nothing);
    expect(one.loaded()).toHaveLength(1);
  });

  it.each<[name: string, machine: Machine, context: string]>([
    ["has the usual context", {}, "load a 8192"],
    ["has the context of the setting", { settings: { contextLength: 3000 } }, "load a 3000"],
    ["has no longer one than the model was trained for", { trainedContext: 2048 }, "load a 2048"],
    ["has a shorter one where memory is short", { room: () => 5000 }, "load a 4096"],
  ])("%s", async (_, machine, context) => {
    const { one, events } = manager(machine);
    await one.use("a", "main", nothing);
    expect(events).toEqual([context]);
  });

  it("of a model that does not fit beside another unloads the idle one before it shortens the context", async () => {
    const { one, events } = manager({ room: (loaded) => (loaded === 0 ? Infinity : 0) });
    await one.use("a", "fast", nothing);
    await one.use("b", "main", nothing);
    expect(events).toEqual(["load a 8192", "close a", "load b 8192"]);
  });

  it("of a model that does not fit leaves those in use alone", async () => {
    const { one, events } = manager({ room: (loaded) => (loaded < 2 ? Infinity : 0) });
    await one.use("a", "fast", async () => {
      for (const model of ["b", "c", "a"]) await one.use(model, "main", nothing);
    });
    const loads = events.filter((event) => !event.includes("draft"));
    expect(loads).toEqual(["load a 8192", "load b 8192", "close b", "load c 8192"]);
  });
});

describe("the context of the setting", () => {
  const settings = { contextLength: 3000 };

  it("is not for ghost text", async () => {
    const { one, events } = manager({ settings });
    await one.use("a", "fast", nothing);
    expect(events).toEqual(["load a 8192"]);
  });

  it("is there for the chat, and then for ghost text too, also when the model was loaded before", async () => {
    const { one, events } = manager({ settings });
    for (const role of ["fast", "main", "fast", "main"] as const) await one.use("a", role, nothing);
    expect(events).toEqual(["load a 8192", "close a", "load a 3000"]);
  });

  it("is there for a chat that joins the load of ghost text", async () => {
    const { opened, open } = gate();
    const { one } = manager({ settings, until: opened });
    const contexts: Promise<number>[] = [];
    for (const role of ["fast", "main"] as const) {
      contexts.push(one.use("a", role, ({ contextLength }) => Promise.resolve(contextLength)));
      await begun(one);
    }
    await new Promise((resolve) => setImmediate(resolve));
    open();
    expect(await Promise.all(contexts)).toEqual([3000, 3000]);
    expect(one.loaded()).toHaveLength(1);
  });
});
