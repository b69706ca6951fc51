import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { EnginePacks } from "../../../src/engine/host/engine_packs";
import type { NativeBackend, NativeDevice } from "../../../src/engine/native/addon";
import type { LoadedModel } from "../../../src/shared/engine_status";
import type { NvidiaCard } from "../../../src/shared/packs";
import { temporaryDirectories } from "../models/temporary_directory";
import { loadedModel, overTwoCards, placedCard } from "../support/engine_status";
import { gtx1650, makePack, packStoreOf, platform, type TestPack } from "./pack_fixture";

const directory = temporaryDirectories();
let pack: TestPack;

beforeAll(async () => {
  pack = await makePack(directory());
});

function device(name: string): NativeDevice {
  return {
    name,
    description: name,
    kind: name === "CPU" ? "cpu" : "gpu",
    memoryTotal: 0,
    memoryFree: 0,
    memoryBeyond: 0,
  };
}

const computed = { activity: { passes: 1 } };
const onVulkan = loadedModel(computed);
const onCuda = loadedModel({ placement: { cards: [placedCard({ device: "CUDA0" })] }, ...computed });
const onBoth = loadedModel({ placement: overTwoCards, ...computed });
const inRam = loadedModel({ placement: { cards: [placedCard({ bytes: 0 })] }, ...computed });

interface Machine {
  home: string;
  /** Names of devices that the native engine finds with what it gets. */
  devices: string[];
  cards?: NvidiaCard[];
  gpu?: "auto" | "off";
}

/** Of a host on the machine that has made no native engine yet. */
function packsOf({ home, cards = [], gpu = "auto" }: Machine, onChanged: () => void = () => undefined): EnginePacks {
  return new EnginePacks({
    store: packStoreOf([pack], join(home, "packs"), ""),
    platform,
    settings: () => ({ cuda: "auto", gpu }),
    cacheDirectory: join(home, "cache"),
    vulkanTrialFile: join(home, "cache", "vulkan.trial"),
    log: () => undefined,
    onChanged,
    findCards: () => Promise.resolve(cards),
    env: {},
  });
}

/** A host on the machine that makes its native engine; ends as by a crash unless it is told otherwise. */
async function start(on: Machine) {
  const changes = { count: 0 };
  const packs = packsOf(on, () => (changes.count += 1));
  await packs.ready;
  const hasPack = packs.forEngine().length > 0;
  const leftOut = packs.leftOut();
  const found = on.devices.filter((name) => (name.startsWith("Vulkan") ? leftOut.length === 0 : true));
  packs.made(found.filter((name) => (name.startsWith("CUDA") ? hasPack : true)).map(device));
  await new Promise(setImmediate);
  return { packs, hasPack, hasVulkan: leftOut.length === 0, changes };
}

function machine(...devices: string[]): Machine {
  return { home: directory(), devices: ["CPU", ...devices] };
}

async function crash(on: Machine, times: number): Promise<void> {
  for (let count = 0; count < times; ++count) await start(on);
}

async function install(on: Machine): Promise<void> {
  const { packs } = await start(on);
  await packs.installFile(pack.path, {});
  packs.close();
}

describe("Vulkan", () => {
  test("with which the host ended unexpectedly twice is left out, until the user has the engine started anew", async () => {
    const on = machine("Vulkan0");
    await crash(on, 2);
    const third = await start(on);
    expect(third.hasVulkan).toBe(false);
    const [state] = third.packs.status([]);
    expect(state).toMatchObject({ name: "vulkan", usable: false, isMissed: true });
    expect(state?.reason).toContain("Restart Engine");
    third.packs.close();
    const fourth = await start({ ...on, gpu: "off" });
    expect(fourth.packs.status([])[0]).toMatchObject({ usable: false, isMissed: false });
    third.packs.restart();
    expect((await start(on)).hasVulkan).toBe(true);
  });

  test.each<[what: string, end: (packs: EnginePacks) => void, allowed: boolean]>([
    ["a model computed with it", settled(onVulkan), true],
    ["it was one of two cards that computed", settled(onBoth), true],
    ["only the processor computed", settled(inRam), false],
    ["a model only lies there", settled(loadedModel({ activity: { passes: 0 } })), false],
    [
      "the host ended in an orderly way",
      (packs) => {
        packs.close();
      },
      true,
    ],
    [
      "its card failed in the first pass",
      (packs) => {
        packs.close({ isFailure: true, models: [onVulkan] });
      },
      false,
    ],
  ])("when %s", async (_, end, allowed) => {
    const on = machine("Vulkan0");
    for (let count = 0; count < 2; ++count) end((await start(on)).packs);
    expect((await start(on)).hasVulkan).toBe(allowed);
  });

  test("without a card of its own has nothing to prove, nor while cards are off", async () => {
    for (const on of [machine(), { ...machine("Vulkan0"), gpu: "off" as const }]) {
      await crash(on, 3);
      expect((await start(on)).hasVulkan).toBe(true);
    }
  });

  test("is not suspected while CUDA is, and takes over from it, until it crashes as well", async () => {
    const on = { ...machine("CUDA0", "Vulkan0"), cards: [gtx1650] };
    await install(on);
    const starts = [];
    for (let count = 0; count < 5; ++count) {
      const { hasPack, hasVulkan } = await start(on);
      starts.push([hasPack, hasVulkan]);
    }
    const [cudaAndVulkan, vulkan, processor] = [
      [true, true],
      [false, true],
      [false, false],
    ];
    expect(starts).toEqual([cudaAndVulkan, cudaAndVulkan, vulkan, vulkan, processor]);
  });

  test("is suspected of what happens after CUDA has computed", async () => {
    const on = { ...machine("CUDA0", "Vulkan1"), cards: [gtx1650] };
    await install(on);
    for (let count = 0; count < 2; ++count) settled(onCuda)((await start(on)).packs);
    const third = await start(on);
    expect([third.hasPack, third.hasVulkan]).toEqual([true, false]);
  });

  test("is tried anew, too, by a host that has made no engine when the user has it started anew", async () => {
    const on = machine("Vulkan0");
    await crash(on, 2);
    packsOf(on).restart();
    expect((await start(on)).hasVulkan).toBe(true);
  });

  test("that has computed beside CUDA is not left out when its card is lost later", async () => {
    const on = { ...machine("CUDA0", "Vulkan1"), cards: [gtx1650] };
    await install(on);
    for (let count = 0; count < 2; ++count) {
      const { packs } = await start(on);
      settled(onVulkan)(packs);
      packs.close({ isFailure: true, models: [onVulkan] });
    }
    const third = await start(on);
    expect([third.hasPack, third.hasVulkan]).toEqual([true, true]);
  });

  test("whose card fails is no mark against CUDA, on whose card nothing lies", async () => {
    const on = { ...machine("CUDA0", "Vulkan1"), cards: [gtx1650] };
    await install(on);
    for (let count = 0; count < 2; ++count) (await start(on)).packs.close({ isFailure: true, models: [onVulkan] });
    const third = await start(on);
    expect([third.hasPack, third.hasVulkan]).toEqual([true, false]);
  });
});

describe("a card that no backend finds", () => {
  const unusable: NativeBackend = { name: "vulkan", usable: false, reason: "it finds no card it can use" };

  test("is named as soon as NVIDIA's driver tells of it", async () => {
    const { packs, changes } = await start({ ...machine(), cards: [gtx1650] });
    expect(changes.count).toBe(1);
    const reason = "GTX 1650 is there, but it finds no card it can use";
    expect(packs.status([unusable])).toEqual([{ name: "vulkan", usable: false, reason, isMissed: true }]);
  });

  test.each<[what: string, on: () => Machine]>([
    ["no driver tells of one", () => machine()],
    ["another card computes", () => ({ ...machine("Vulkan0"), cards: [gtx1650] })],
    ["cards are off", () => ({ ...machine(), cards: [gtx1650], gpu: "off" })],
  ])("is not missed where %s", async (_, on) => {
    const { packs } = await start(on());
    await packs.report();
    expect(packs.status([unusable])).toEqual([unusable]);
  });
});

function settled(model: LoadedModel): (packs: EnginePacks) => void {
  return (packs) => {
    packs.settle([model]);
  };
}
