import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryDirectories } from "../models/temporary_directory";
import { gate } from "./gate";
import { begun, layerMap, manager, nothing } from "./manager_fixture";

const temporaryDirectory = temporaryDirectories();

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
    const { opened: used, open: use } = gate();
    const inUse = one.use("a", "main", () => (use(), opened));
    await used;
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
    const { opened: used, open: use } = gate();
    const using = one.use("b", "main", () => (use(), working));
    await used;
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
