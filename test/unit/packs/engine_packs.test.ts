import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { EnginePacks } from "../../../src/engine/host/engine_packs";
import type { NativeBackend } from "../../../src/engine/native/addon";
import type { EngineSettings } from "../../../src/shared/engine_settings";
import type { LoadedModel } from "../../../src/shared/engine_status";
import type { NvidiaCard } from "../../../src/shared/packs";
import { temporaryDirectories } from "../models/temporary_directory";
import { loadedModel, placedCard } from "../support/engine_status";
import { gtx1650, makePack, packStoreOf, platform, type TestPack } from "./pack_fixture";

const directory = temporaryDirectories();
let pack: TestPack;

beforeAll(async () => {
  pack = await makePack(directory());
});

const cuda: NativeBackend = { name: "cuda", usable: true, reason: "" };
const vulkan: NativeBackend = { name: "vulkan", usable: true, reason: "" };
const onCuda = loadedOn(["CUDA0"], 1);

function loadedOn(devices: string[], passes: number): LoadedModel {
  return loadedModel({ placement: { cards: devices.map((device) => placedCard({ device })) }, activity: { passes } });
}

interface Machine {
  home: string;
  cards: NvidiaCard[];
  settings: Pick<EngineSettings, "cuda" | "gpu">;
  env: NodeJS.ProcessEnv;
}

function machine(changes: Partial<Machine> = {}): Machine {
  return { home: directory(), cards: [gtx1650], settings: { cuda: "auto", gpu: "auto" }, env: {}, ...changes };
}

/** A host that begins on a machine. */
async function begin(
  { home, cards, settings, env }: Machine,
  findCards = () => Promise.resolve(cards),
  system = platform,
): Promise<EnginePacks> {
  const packs = new EnginePacks({
    store: packStoreOf([pack], join(home, "packs"), ""),
    platform: system,
    settings: () => settings,
    cacheDirectory: join(home, "cache"),
    vulkanTrialFile: join(home, "vulkan.trial"),
    log: () => undefined,
    onChanged: () => undefined,
    findCards,
    env,
  });
  await new Promise(setImmediate);
  return packs;
}

describe("the native engine", () => {
  test("gets the installed pack, libraries first, and the driver a cache that holds everything", async () => {
    const on = machine();
    const packs = await begin(on);
    expect(packs.forEngine()).toEqual([]);
    expect(on.env).toEqual({});
    await packs.installFile(pack.path, {});
    const [given] = packs.forEngine();
    expect(given?.backend).toMatch(/libggml-cuda\.so$/);
    expect(given?.libraries.map((path) => existsSync(path))).toEqual([true, true]);
    expect(on.env["CUDA_CACHE_PATH"]).toBe(join(on.home, "cache", "cuda"));
    expect(existsSync(join(on.home, "cache", "cuda"))).toBe(true);
    expect(Number(on.env["CUDA_CACHE_MAXSIZE"])).toBeGreaterThan(2 ** 30);
    expect(packs.status([cuda])).toEqual([cuda]);
  });

  test("has news of a pack that it was not made with, until it is made anew", async () => {
    const on = machine({ settings: { cuda: "off", gpu: "auto" } });
    const packs = await begin(on);
    packs.forEngine();
    expect(packs.isNews).toBe(false);
    await packs.installFile(pack.path, {});
    expect(packs.isNews).toBe(true);
    // Refused because CUDA is off, which a restart does not change.
    packs.forEngine();
    expect(packs.isNews).toBe(false);
    // It is tried again.
    await packs.installFile(pack.path, {});
    expect(packs.isNews).toBe(true);
    await packs.remove("cuda13");
    expect(packs.isNews).toBe(false);
  });

  test.each<[system: string, name: string, isOurs: boolean]>([
    ["win32-x64", "Jane Doe", true],
    ["win32-x64", "Jörg", false],
    ["win32-x64", "张伟", false],
    ["linux-x64", "Jörg 张伟", true],
  ])("on %s for %s has a cache whose place the driver understands", async (system, name, isOurs) => {
    const home = join(directory(), name);
    const on = machine({ home, cards: [] });
    const packs = await begin(on, () => Promise.resolve([]), system);
    await packs.installFile(pack.path, {});
    expect(packs.forEngine()).toHaveLength(1);
    expect(on.env["CUDA_CACHE_PATH"]).toBe(isOurs ? join(home, "cache", "cuda") : undefined);
    expect(Number(on.env["CUDA_CACHE_MAXSIZE"])).toBeGreaterThan(2 ** 30);
  });

  test("leaves the user's own cache alone", async () => {
    const on = machine({ env: { CUDA_CACHE_PATH: "/mine" } });
    const packs = await begin(on);
    await packs.installFile(pack.path, {});
    packs.forEngine();
    expect(on.env["CUDA_CACHE_PATH"]).toBe("/mine");
  });

  test("gets none when CUDA is switched off, and the status says so", async () => {
    const on = machine({ settings: { cuda: "off", gpu: "auto" } });
    const packs = await begin(on);
    await packs.installFile(pack.path, {});
    expect(packs.forEngine()).toEqual([]);
    expect(packs.status([vulkan])).toEqual([
      {
        name: "cuda",
        usable: false,
        reason: "it was switched off (nmos.engine.cuda) when the engine started",
        isMissed: false,
      },
      vulkan,
    ]);
    on.settings.cuda = "auto";
    expect(packs.status([])[0]?.isMissed).toBe(true);
    expect(packs.forEngine()).toHaveLength(1);
    expect(packs.status([vulkan])).toEqual([vulkan]);
  });

  test("gets none when graphics cards are switched off, and the status says so", async () => {
    const on = machine({ settings: { cuda: "auto", gpu: "off" } });
    const packs = await begin(on);
    await packs.installFile(pack.path, {});
    expect(packs.forEngine()).toEqual([]);
    expect(packs.status([])[0]?.reason).toContain("(nmos.engine.gpu)");
    expect(packs.status([])[0]?.isMissed).toBe(false);
    on.settings.gpu = "auto";
    expect(packs.status([])[0]?.isMissed).toBe(true);
  });

  const rtx: NvidiaCard = { ...gtx1650, name: "RTX 3060 Ti", capability: "8.6", uuid: "GPU-3060" };
  const old: NvidiaCard = { ...gtx1650, name: "GTX 1080 Ti", capability: "6.1", uuid: "GPU-1080" };
  const small: NvidiaCard = { ...gtx1650, memoryBytes: 2 ** 31 };
  test.each<[what: string, cards: NvidiaCard[], mine: string | undefined, visible: string | undefined]>([
    ["one that suits", [rtx], undefined, undefined],
    ["two that suit", [rtx, gtx1650], undefined, undefined],
    ["one that suits and one that is too old", [old, rtx], undefined, "GPU-3060"],
    ["two that suit and a small one", [rtx, small, gtx1650], undefined, "GPU-3060,GPU-1650"],
    ["no ids", [rtx, old].map((card) => ({ ...card, uuid: null })), undefined, undefined],
    ["a choice of the user's", [rtx, old], "1", "1"],
  ])("with %s: CUDA sees only cards that it has code for", async (_, cards, mine, visible) => {
    const on = machine({ cards, env: mine === undefined ? {} : { CUDA_VISIBLE_DEVICES: mine } });
    const packs = await begin(on);
    await packs.installFile(pack.path, {});
    expect(packs.forEngine()).toHaveLength(1);
    expect(on.env["CUDA_VISIBLE_DEVICES"]).toBe(visible);
  });

  test("is known to need its cards before it is made, and they are asked for once at a time", async () => {
    const on = machine({ cards: [rtx, old] });
    await (await begin(on)).installFile(pack.path, {});
    let answer: (cards: NvidiaCard[]) => void = () => undefined;
    let searches = 0;
    const packs = await begin(on, () => {
      searches += 1;
      return new Promise((resolve) => (answer = resolve));
    });
    const reports = [packs.report(), packs.report()];
    answer(on.cards);
    await packs.ready;
    expect(searches).toBe(1);
    packs.forEngine();
    expect(on.env["CUDA_VISIBLE_DEVICES"]).toBe("GPU-3060");
    expect((await Promise.all(reports)).map(({ cards }) => cards)).toEqual([on.cards, on.cards]);
  });

  test("gets none that the driver cannot run any more", async () => {
    const on = machine();
    await (await begin(on)).installFile(pack.path, {});
    const later = await begin({ ...on, cards: [{ ...gtx1650, driver: "516.94" }] });
    expect(later.forEngine()).toEqual([]);
    expect(later.status([])[0]?.reason).toContain("driver 590 or later");
  });

  test.each<[what: string, again: (packs: EnginePacks) => unknown]>([
    ["it is installed again", (packs) => packs.installFile(pack.path, {})],
    [
      "the user has the engine started anew",
      (packs) => {
        packs.restart();
      },
    ],
  ])("gets none with which it ended unexpectedly twice, until %s", async (_, again) => {
    const on = machine();
    await (await begin(on)).installFile(pack.path, {});
    for (let start = 0; start < 2; ++start) expect((await begin(on)).forEngine()).toHaveLength(1);
    const third = await begin(on);
    expect(third.forEngine()).toEqual([]);
    expect(third.status([])[0]?.reason).toContain("ended unexpectedly");
    await again(third);
    expect((await begin(on)).forEngine()).toHaveLength(1);
  });

  test.each<[what: string, end: (packs: EnginePacks) => void]>([
    [
      "it computed with it",
      (packs) => {
        packs.settle([onCuda]);
      },
    ],
    [
      "it ended in an orderly way",
      (packs) => {
        packs.close();
      },
    ],
  ])("gets it again and again when %s", async (_, end) => {
    const on = machine();
    await (await begin(on)).installFile(pack.path, {});
    for (let start = 0; start < 4; ++start) {
      const packs = await begin(on);
      expect(packs.forEngine()).toHaveLength(1);
      end(packs);
    }
  });

  test("gets none whose card failed in the first pass of two engines, which end in order", async () => {
    const on = machine();
    await (await begin(on)).installFile(pack.path, {});
    for (let start = 0; start < 2; ++start) {
      const packs = await begin(on);
      expect(packs.forEngine()).toHaveLength(1);
      packs.close({ isFailure: true });
    }
    expect((await begin(on)).forEngine()).toEqual([]);
  });

  test("gets it again when its card failed after it had computed", async () => {
    const on = machine();
    await (await begin(on)).installFile(pack.path, {});
    for (let start = 0; start < 4; ++start) {
      const packs = await begin(on);
      expect(packs.forEngine()).toHaveLength(1);
      packs.settle([onCuda]);
      packs.close({ isFailure: true });
    }
  });

  test.each([[["CUDA0"]], [["Vulkan0", "CUDA0"]], [["CUDA1", "Vulkan0"]]])(
    "has proved itself when a model computed on %j",
    async (devices) => {
      const on = machine();
      await (await begin(on)).installFile(pack.path, {});
      for (let start = 0; start < 4; ++start) {
        const packs = await begin(on);
        expect(packs.forEngine()).toHaveLength(1);
        packs.settle([loadedOn(devices, 1)]);
      }
    },
  );

  test("has proved nothing by computing elsewhere", async () => {
    const on = machine();
    await (await begin(on)).installFile(pack.path, {});
    const elsewhere = [
      loadedOn([], 9),
      loadedOn(["Vulkan0"], 9),
      loadedOn(["CUDA0"], 0),
      loadedOn(["Vulkan0", "CUDA0"], 0),
    ];
    for (let start = 0; start < 2; ++start) {
      const packs = await begin(on);
      packs.forEngine();
      packs.settle(elsewhere);
    }
    expect((await begin(on)).forEngine()).toEqual([]);
  });
});

describe("compiling at the first use", () => {
  async function preparing(on: Machine, backends: NativeBackend[] = [cuda]): Promise<[EnginePacks, string]> {
    const packs = await begin(on);
    packs.forEngine();
    return [packs, packs.preparing(backends)];
  }

  test("is announced until a model has computed, once for a driver", async () => {
    const on = machine();
    await (await begin(on)).installFile(pack.path, {});
    const [first, announced] = await preparing(on);
    expect(announced).toContain("GTX 1650");
    expect(announced).toContain("up to five minutes");
    first.settle([onCuda]);
    expect(first.preparing([cuda])).toBe("");
    expect((await preparing(on))[1]).toBe("");
    const updated = { ...on, cards: [{ ...gtx1650, driver: "595.01" }] };
    expect((await preparing(updated))[1]).toContain("GTX 1650");
  });

  test.each<[what: string, changes: Partial<Machine>, backends: NativeBackend[]]>([
    ["of a card with machine code", { cards: [{ ...gtx1650, capability: "8.6" }] }, [cuda]],
    ["of a card whose capability is unknown", { cards: [{ ...gtx1650, capability: null }] }, [cuda]],
    ["where CUDA is not usable", {}, [{ name: "cuda", usable: false, reason: "x" }, vulkan]],
    ["where CUDA is off", { settings: { cuda: "off", gpu: "auto" } }, [vulkan]],
  ])("%s is nothing to tell", async (_, changes, backends) => {
    const on = machine(changes);
    await (await begin(on)).installFile(pack.path, {});
    expect((await preparing(on, backends))[1]).toBe("");
  });
});

describe("installing", () => {
  test("tells which pack suits the machine", async () => {
    const packs = await begin(machine());
    expect(await packs.report()).toMatchObject({ cards: [gtx1650], suitable: "cuda13" });
    const without = await begin(machine({ cards: [] }));
    expect(await without.report()).toMatchObject({ suitable: null, reason: "No NVIDIA card with a driver was found." });
  });

  test("refuses a pack that this machine cannot use, from the network and from a file", async () => {
    const packs = await begin(machine({ cards: [{ ...gtx1650, driver: "516.94" }] }));
    for (const installing of [packs.install("cuda13", {}), packs.installFile(pack.path, {})]) {
      await expect(installing).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
      await expect(installing).rejects.toThrow("install a newer driver");
    }
  });

  test("from a file works on a machine that has no card yet", async () => {
    const packs = await begin(machine({ cards: [] }));
    await packs.installFile(pack.path, {});
    expect(packs.forEngine()).toHaveLength(1);
  });

  test("can be undone", async () => {
    const on = machine();
    const packs = await begin(on);
    await packs.installFile(pack.path, {});
    packs.forEngine();
    await packs.remove("cuda13");
    expect(packs.forEngine()).toEqual([]);
    expect(readdirSync(join(on.home, "packs"))).toEqual([]);
  });
});
