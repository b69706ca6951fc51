import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EngineService, type EngineServiceOptions } from "../../../src/engine/host/engine_service";
import type { EnginePacks } from "../../../src/engine/host/engine_packs";
import type { LoadModelOptions, NativeEngineOptions } from "../../../src/engine/native/addon";
import { temporaryDirectories } from "../models/temporary_directory";
import { Cancellation, Engine } from "./fake_addon";

const temporaryDirectory = temporaryDirectories();

const machine = vi.hoisted(() => ({ happened: [] as string[], engine: {}, packsChanged: (): void => undefined }));

vi.mock("../../../src/engine/native/load_addon", () => ({
  loadAddon: () => ({ addon: { Engine: machine.engine, Cancellation }, libraryDirectory: "" }),
}));

/** Of the packs, only what the life of an engine does with them. */
vi.mock("../../../src/engine/host/engine_packs", () => ({
  createEnginePacks: ({ onChanged }: { onChanged: () => void }) => {
    machine.packsChanged = onChanged;
    const packs: Partial<EnginePacks> = {
      forEngine: () => {
        machine.happened.push("trial begins");
        return [];
      },
      leftOut: () => ["vulkan"],
      made: () => {
        machine.happened.push("engine made");
      },
      restart: () => {
        machine.happened.push("trials begin anew");
      },
      close: (ending) => {
        machine.happened.push(ending?.isFailure ? "trial failed" : "trial withdrawn");
      },
      status: () => [],
      preparing: () => "",
      settle: () => undefined,
    };
    return packs;
  },
}));

beforeEach(() => {
  machine.happened = [];
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function service(given: Partial<EngineServiceOptions> = {}): EngineService {
  return new EngineService({
    extensionRoot: "",
    hostVersion: "0",
    log: () => undefined,
    clients: () => 0,
    onStatusChanged: () => undefined,
    onModelsChanged: () => undefined,
    onShutdown: () => undefined,
    onDeviceFailed: () => undefined,
    ...given,
  });
}

const context = { signal: new AbortController().signal, progress: () => undefined };

test("an engine that hangs while it closes is no crash of its backend", async () => {
  machine.engine = class extends Engine {
    override close(): Promise<void> {
      machine.happened.push("engine closes");
      return new Promise(() => undefined);
    }
  };
  const one = service();
  await one.handlers()["engine/status"]({ startEngine: true }, context);
  void one.close();
  expect(machine.happened).toEqual(["trial begins", "engine made", "trial withdrawn", "engine closes"]);
});

test("an engine that ends because a card failed has failed its trial", async () => {
  machine.engine = Engine;
  const one = service();
  await one.handlers()["engine/status"]({ startEngine: true }, context);
  await one.close({ isFailure: true });
  expect(machine.happened).toEqual(["trial begins", "engine made", "trial failed"]);
});

test("an engine that cannot be made is no crash of its backend", async () => {
  machine.engine = function () {
    throw new Error("no processor");
  };
  const one = service();
  const status = async () => one.handlers()["engine/status"]({ startEngine: true }, context);
  await expect(status()).rejects.toThrow("no processor");
  expect(machine.happened).toEqual(["trial begins", "trial withdrawn"]);
  await one.close();
});

test("a backend that is left out is kept from the engine, until a client has it end", async () => {
  const given: unknown[] = [];
  machine.engine = class extends Engine {
    constructor({ leftOut }: NativeEngineOptions) {
      super();
      given.push(leftOut);
    }
  };
  const one = service();
  await one.handlers()["engine/status"]({ startEngine: true }, context);
  expect(given).toEqual([["vulkan"]]);
  await one.handlers()["engine/shutdown"](null, context);
  expect(machine.happened).toEqual(["trial begins", "engine made", "trials begin anew"]);
  await one.close();
});

test("what is found out about cards after the end is told to nobody, and asks nothing of the engine", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  machine.engine = Engine;
  const told: unknown[] = [];
  const one = service({ onStatusChanged: (status) => told.push(status) });
  machine.packsChanged();
  vi.advanceTimersByTime(1_000);
  expect(told).toHaveLength(1);
  await one.close();
  machine.packsChanged();
  vi.advanceTimersByTime(1_000);
  expect(told).toHaveLength(1);
});

test("no engine is made for a request that comes while the host ends", async () => {
  machine.engine = Engine;
  const one = service();
  await one.close();
  const status = async () => one.handlers()["engine/status"]({ startEngine: true }, context);
  await expect(status()).rejects.toMatchObject({ code: "CLOSED" });
  expect(machine.happened).toEqual(["trial withdrawn"]);
});

test("an hour in which the machine slept is no time in which a model was idle", async () => {
  machine.engine = Engine;
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const minute = 60_000;
  let time = 0;
  const one = service({ clock: () => time });
  const directory = temporaryDirectory();
  const model = join(directory, "model.gguf");
  writeFileSync(model, "GGUF and no more");
  await one.configure({ modelsDirectory: directory, idleReleaseMinutes: 0, idleUnloadMinutes: 30 });
  const handlers = one.handlers();
  await handlers["models/load"]({ model, role: "main" }, context);
  const loaded = async () => (await handlers["engine/status"]({ startEngine: false }, context)).models.length;
  const pass = async (minutes: number) => {
    time += minutes * minute;
    vi.advanceTimersByTime(minute);
    await new Promise((resolve) => setTimeout(resolve, 1));
  };
  await pass(60);
  expect(await loaded()).toBe(1);
  for (let count = 0; count < 30; count++) await pass(1);
  expect(await loaded()).toBe(0);
  await one.close();
});

test.each([true, false])(
  "what was asked before there was an engine says nothing of the battery: %s",
  async (onBattery) => {
    machine.engine = class extends Engine {
      override savesEnergy(): boolean {
        return onBattery;
      }
    };
    const one = service();
    const directory = temporaryDirectory();
    const model = join(directory, "model.gguf");
    writeFileSync(model, "GGUF and no more");
    await one.configure({ modelsDirectory: directory });
    const place = { model, path: "a.ts", languageId: "typescript", prefix: "let a", suffix: "", extracts: [] };
    const asked = { ...place, lines: "auto", maxTokens: 8, reach: "typed", load: true } as const;
    const computed = async () => (await one.handlers()["completion/prefill"](asked, context)) !== null;
    // The first one loads the model and makes the engine for it.
    expect([await computed(), await computed()]).toEqual([!onBattery, !onBattery]);
    await one.close();
  },
);

test.each([
  ["reads in what was put away, where it is allowed to compute ahead", false, ["page in"]],
  ["leaves that alone on battery", true, []],
])("who comes back to the chat: %s", async (_, onBattery, expected) => {
  const asked: string[] = [];
  machine.engine = class extends Engine {
    override savesEnergy(): boolean {
      return onBattery;
    }
    override async loadModel(options: LoadModelOptions) {
      const model = await super.loadModel(options);
      const prefetch = ({ bytes }: { bytes?: number } = {}) => {
        asked.push(bytes === 0 ? "page in" : "fill");
        return Promise.resolve(0);
      };
      return model && { ...model, prefetch };
    }
  };
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  let time = 0;
  const one = service({ clock: () => time });
  const directory = temporaryDirectory();
  const model = join(directory, "model.gguf");
  writeFileSync(model, "GGUF and no more");
  await one.configure({ modelsDirectory: directory });
  const handlers = one.handlers();
  await handlers["models/load"]({ model, role: "main" }, context);
  for (let half = 0; half < 5; half++) {
    time += 30_000;
    vi.advanceTimersByTime(30_000);
  }
  const messages = [{ role: "user" as const, content: "hello" }];
  await handlers["chat/prefill"]({ model, messages, wake: false }, context);
  expect(asked).toEqual([]);
  await handlers["chat/prefill"]({ model, messages, wake: true }, context);
  expect(asked).toEqual(expected);
  await one.close();
});

test.each([
  ["others fill the card", 0, 30_000],
  ["the system grants less", 1, 3_000],
])("memory given up for good does not keep idle work away, that given for a while does: %s", async (_, beyond, ms) => {
  const bytes = 100 * 2 ** 20;
  const activity = { releasedBytes: 0, releasedOfCards: [0], timesAsLong: null as number | null };
  const card = { device: "GPU", firstLayer: 0, layers: 2, bytes, kvBytes: 0, slots: 0, slotBytes: 0 };
  machine.engine = class extends Engine {
    override devices() {
      return [{ name: "GPU", kind: "gpu", memoryFree: 0, memoryBeyond: beyond }] as unknown as ReturnType<
        Engine["devices"]
      >;
    }
    override async loadModel(options: LoadModelOptions) {
      const model = await super.loadModel(options);
      if (!model) return null;
      const release = ({ bytes: wanted = bytes }: { bytes?: number }) => {
        const released = Math.min(wanted, bytes - activity.releasedBytes);
        activity.releasedBytes += released;
        activity.releasedOfCards = [activity.releasedBytes];
        activity.timesAsLong = null;
        return Promise.resolve(released);
      };
      const placement = { ...model.placement, deviceBytes: bytes, cards: [card] };
      return { ...model, placement, activity: Object.assign(activity, { ...model.activity, ...activity }), release };
    }
  };
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const one = service();
  const directory = temporaryDirectory();
  const model = join(directory, "model.gguf");
  writeFileSync(model, "GGUF and no more");
  await one.configure({ modelsDirectory: directory, computeAhead: "always" });
  const handlers = one.handlers();
  await handlers["models/load"]({ model, role: "main" }, context);
  const ahead = () =>
    handlers["chat/prefill"]({ model, messages: [{ role: "user", content: "hello" }], wake: false }, context);
  activity.timesAsLong = 9;
  expect(await ahead()).not.toBeNull();
  await vi.waitUntil(() => activity.releasedBytes > 0);
  expect(activity.releasedBytes).toBe(bytes / 2);
  expect(await ahead()).not.toBeNull();
  // The card is full: what else there is goes for a while.
  vi.advanceTimersByTime(ms);
  await vi.waitUntil(() => activity.releasedBytes === bytes);
  expect(await ahead()).toBeNull();
  await one.close();
});
