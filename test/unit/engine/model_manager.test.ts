import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ModelManager } from "../../../src/engine/host/model_manager";
import type { PlanOptions } from "../../../src/engine/native/addon";
import { toEngineError } from "../../../src/shared/errors";
import type { EngineSettings, ModelRole } from "../../../src/shared/protocol";
import { temporaryDirectories } from "../models/temporary_directory";
import { gate } from "./gate";
import { begun, layerMap, manager, mib, nothing, type Machine } from "./manager_fixture";

const temporaryDirectory = temporaryDirectories();

const codeOf = (thrown: unknown) => toEngineError(thrown).code;

describe("what is loaded", () => {
  it("tells where its layers lie and what it has done up to now", async () => {
    const { one } = manager();
    await one.use("a", "main", async (handle) => {
      expect(one.loaded()).toMatchObject([{ placement: { layerMap }, activity: { passes: 0 } }]);
      await handle.prefill({ tokens: Int32Array.of(1), priority: "chat" });
      expect(one.loaded()).toMatchObject([{ placement: { layerMap }, activity: { passes: 1 } }]);
    });
  });
});

describe("the time in which nobody used a model", () => {
  it("is told by the clock that the manager is given, from the last use on", async () => {
    let now = 0;
    const { one, events } = manager({ now: () => now });
    await one.use("a", "main", nothing);
    now = 10 * 60_000;
    await one.use("a", "main", nothing);
    await one.giveBack(24 * 60_000);
    expect(events).toEqual(["load a 8192", "release a 0"]);
    await one.giveBack(25 * 60_000);
    expect(events.at(-1)).toBe("close a");
  });
});

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

describe("the limit of graphics memory", () => {
  /** A model takes 1 MiB of the card, the KV cache of its first session included, and each further session another. */
  const onCard = { deviceLayers: 1 };

  async function useSessions(one: ModelManager, model: string, count: number, open: () => void): Promise<number> {
    return one.use(model, "main", async (handle) => {
      const tokens = Array.from({ length: count }, (_, index) => Int32Array.of(index));
      const runs = tokens.map((prompt) => handle.prefill({ tokens: prompt, priority: "suggest" }));
      await new Promise((resolve) => setTimeout(resolve, 5));
      const { sessions } = handle;
      open();
      await Promise.all(runs);
      return sessions;
    });
  }

  it.each<[vramLimitMiB: number, sessions: number]>([
    [0, 3],
    [1, 1],
    [2, 2],
    [3, 3],
  ])("of %s MiB leaves room for %s sessions", async (vramLimitMiB, sessions) => {
    const { opened, open } = gate();
    const { one } = manager({ ...onCard, settings: { vramLimitMiB }, working: opened });
    expect(await useSessions(one, "a", 5, open)).toBe(sessions);
    const { placement } = one.loaded()[0] ?? expect.fail("nothing is loaded");
    expect([placement.deviceBytes, placement.kvBytes]).toEqual([sessions * mib, sessions * 2 * mib]);
  });

  it("counts every model with all its sessions", async () => {
    const { opened, open } = gate();
    const { one, limits } = manager({ ...onCard, settings: { vramLimitMiB: 4 }, working: opened });
    await useSessions(one, "a", 2, open);
    expect(await useSessions(one, "b", 5, open)).toBe(2);
    await one.use("c", "main", nothing);
    expect(limits()).toEqual([4 * mib, 2 * mib, 0]);
  });

  it("counts a model that loads at the same moment", async () => {
    const { one, limits } = manager({ ...onCard, settings: { vramLimitMiB: 4 } });
    await Promise.all(["a", "b"].map((model) => one.use(model, "main", nothing)));
    expect(limits()).toEqual([4 * mib, 3 * mib]);
  });

  it("counts what was given back, which comes again with the next request", async () => {
    const { one, events, limits } = manager({ ...onCard, settings: { vramLimitMiB: 4 }, releasable: mib });
    await one.use("a", "main", nothing);
    await one.giveBack(Date.now() + 6 * 60_000);
    expect(one.loaded()[0]?.placement.deviceBytes).toBe(0);
    await one.use("b", "main", nothing);
    expect(limits()).toEqual([4 * mib, 3 * mib]);
    expect(events).toContain("release a 1");
  });
});

describe("graphics memory for ghost text", () => {
  const fast = "f";

  it.each<[name: string, uses: Record<string, ModelRole>, reserved: number[]]>([
    ["is kept while another model is loaded before it", { m: "main" }, [100]],
    ["is its own once it loads", { m: "main", f: "fast" }, [100, 0]],
    ["is not kept twice", { f: "fast", m: "main" }, [0, 0]],
    ["is not kept for the same file", { f: "main" }, [0]],
    ["is that of the model it asked for last", { g: "fast", m: "main" }, [0, 0]],
  ])("%s", async (_, uses, expected) => {
    const { one, reserved } = manager({ fast });
    for (const [model, role] of Object.entries(uses)) await one.use(model, role, nothing);
    expect(reserved()).toEqual(expected.map((bytes) => bytes * mib));
  });

  it("is planned with its usual context, as the settings say", async () => {
    const settings = { vramLimitMiB: 300, contextLength: 3000, kvCacheType: "q8_0", threads: 3 } as const;
    const { one, planned, asked } = manager({ fast, settings });
    await one.use("m", "main", nothing);
    const limit = { vramLimitBytes: 300 * mib, vramUsedBytes: {} };
    const asSet = { gpu: "auto", kvCacheType: "q8_0", threads: 3, ...limit, exactPasses: false };
    expect(planned).toEqual([{ path: "f", contextLength: 8192, ...asSet }]);
    expect(asked).toMatchObject([{ path: "m", contextLength: 3000, ...asSet }]);
  });

  it("is planned with a shorter context for a model that was trained for less", async () => {
    const refuse = () => Promise.reject(Object.assign(new Error(), { code: "CONTEXT_TOO_LONG" }));
    const plan = ({ contextLength }: PlanOptions) =>
      contextLength > 2048 ? refuse() : Promise.resolve({ deviceBytes: mib });
    const { one, reserved } = manager({ fast, plan });
    await one.use("m", "main", nothing);
    expect(reserved()).toEqual([mib]);
  });

  it.each<[name: string, machine: Machine]>([
    ["no model for it is installed", {}],
    ["it cannot be planned", { fast, plan: () => Promise.reject(new Error("no plan")) }],
    ["no card is used", { fast, settings: { gpu: "off" } }],
  ])("is not kept where %s", async (_, machine) => {
    const { one, events, reserved } = manager(machine);
    await one.use("m", "main", nothing);
    expect([events, reserved()]).toEqual([["load m 8192"], [0]]);
  });

  it("is not kept while another one for it loads", async () => {
    const { one, reserved } = manager({ fast });
    await Promise.all(["g", "f"].map((model) => one.use(model, "fast", nothing)));
    expect(reserved()).toEqual([0, 0]);
  });

  it("is not kept for one that loads before", async () => {
    const { one, reserved } = manager({ fast });
    await Promise.all([one.use("f", "fast", nothing), one.use("m", "main", nothing)]);
    expect(reserved()).toEqual([0, 0]);
  });

  it("is not for further sessions of other models", async () => {
    const { opened, open } = gate();
    const { one, card } = manager({ fast, deviceLayers: 1, working: opened });
    const sessionsOf = (model: string) =>
      one.use(model, "main", async (handle) => {
        for (const token of [1, 2, 3]) {
          void handle.prefill({ tokens: Int32Array.of(token), priority: "suggest" });
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        return handle.sessions;
      });
    card.memoryFree = (384 + 100) * mib;
    expect(await sessionsOf("m")).toBe(1);
    await one.use("f", "fast", nothing);
    expect(await sessionsOf("m")).toBe(3);
    open();
  });
});

describe("the type of the KV cache", () => {
  it("is that of the setting", async () => {
    const { one, asked } = manager({ settings: { kvCacheType: "q8_0" } });
    for (const role of ["main", "fast"] as const) await one.use(role, role, nothing);
    expect(asked.map(({ kvCacheType }) => kvCacheType)).toEqual(["q8_0", "q8_0"]);
  });
});

describe("exact passes", () => {
  it.each([
    ["auto", false],
    ["exact", true],
    ["off", false],
  ] as const)("are asked for with the setting %s: %s", async (speculation, expected) => {
    const { one, asked, planned } = manager({ settings: { speculation }, fast: "f" });
    await one.use("m", "main", nothing);
    expect([...asked, ...planned].map(({ exactPasses }) => exactPasses)).toEqual([expected, expected]);
  });
});

describe("unloading", () => {
  it("waits for the requests in progress, and later ones load again", async () => {
    const { one, events } = manager();
    const { opened, open } = gate();
    const inUse = one.use("a", "main", () => opened);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await one.unload()).toEqual({ freedBytes: 0 });
    expect(events).toEqual(["load a 8192"]);
    const later = one.use("a", "main", nothing);
    await later;
    expect(events).toEqual(["load a 8192", "load a 8192"]);
    open();
    await inUse;
    expect(events).toEqual(["load a 8192", "load a 8192", "close a"]);
    expect(one.loaded()).toHaveLength(1);
  });

  it("says how many bytes it gave back", async () => {
    const { one } = manager();
    await one.use("a", "main", nothing);
    expect(await one.unload("b")).toEqual({ freedBytes: 0 });
    expect(await one.unload("a")).toEqual({ freedBytes: 10 });
    expect(one.loaded()).toEqual([]);
  });

  it("of a model whose file is to go is refused while it is used", async () => {
    const { one, events } = manager();
    await one.use("a", "main", async () => {
      await expect(one.unloadUnused("a")).rejects.toMatchObject({ code: "MODEL_IN_USE" });
      await one.unloadUnused("b");
      await one.use("a", "main", nothing);
    });
    expect(events).toEqual(["load a 8192"]);
    await one.unloadUnused("a");
    expect(events).toEqual(["load a 8192", "close a"]);
  });

  it("of a model whose file is to go is refused while it loads", async () => {
    const { opened, open } = gate();
    const { one, events } = manager({ until: opened });
    const using = one.use("a", "main", nothing);
    await begun(one);
    await expect(one.unloadUnused("a")).rejects.toMatchObject({ code: "MODEL_IN_USE" });
    open();
    await using;
    expect(events).toEqual(["load a 8192"]);
  });

  it("of a model whose file is to go is refused also by another name of the file", async () => {
    const directory = temporaryDirectory();
    const other = join(directory, "other");
    mkdirSync(join(directory, "models"));
    symlinkSync(join(directory, "models"), other, "junction");
    const path = join(directory, "models", "a.gguf");
    writeFileSync(path, "GGUF");
    const { opened, open } = gate();
    const { one } = manager({ until: opened });
    const using = one.use(path, "main", async () => {
      await expect(one.unloadUnused(join(other, "a.gguf"))).rejects.toMatchObject({ code: "MODEL_IN_USE" });
    });
    await begun(one);
    await expect(one.unloadUnused(join(other, "a.gguf"))).rejects.toMatchObject({ code: "MODEL_IN_USE" });
    open();
    await using;
    await one.unloadUnused(join(other, "a.gguf"));
    expect(one.loaded()).toEqual([]);
  });

  const minutes = 60_000;
  it.each<[name: string, setting: number, idleMs: number, unloaded: boolean]>([
    ["too early", 15, 14 * minutes, false],
    ["idle", 15, 16 * minutes, true],
    ["never", 0, 1000 * minutes, false],
  ])("after a time without requests: %s", async (_, idleUnloadMinutes, idleMs, unloaded) => {
    const { one } = manager({ settings: { idleUnloadMinutes } });
    await one.use("a", "main", nothing);
    await one.giveBack(Date.now() + idleMs);
    expect(one.loaded()).toHaveLength(unloaded ? 0 : 1);
  });

  it("of what is idle leaves alone what a request has taken meanwhile", async () => {
    const { opened: closing, open: close } = gate();
    const { opened: working, open: end } = gate();
    const { one, events } = manager({ closing, settings: { idleReleaseMinutes: 0 } });
    for (const model of ["a", "b"]) await one.use(model, "main", nothing);
    const givingBack = one.giveBack(Date.now() + 16 * minutes);
    const using = one.use("b", "main", () => working);
    await new Promise((resolve) => setTimeout(resolve, 5));
    close();
    await givingBack;
    expect(events).toEqual(["load a 8192", "load b 8192", "close a"]);
    end();
    await using;
    expect(one.loaded().map(({ ref }) => ref)).toEqual(["b"]);
  });

  it("of what is idle happens once at a time", async () => {
    const { opened: closing, open: close } = gate();
    const { one, events } = manager({ closing, settings: { idleReleaseMinutes: 0 } });
    for (const model of ["a", "b"]) await one.use(model, "main", nothing);
    const first = one.giveBack(Date.now() + 16 * minutes);
    await one.giveBack(Date.now() + 16 * minutes);
    expect(events.slice(2)).toEqual(["close a"]);
    close();
    await first;
    expect(events.slice(2)).toEqual(["close a", "close b"]);
  });
});

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
