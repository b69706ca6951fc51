import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EngineService } from "../../../src/engine/host/engine_service";
import type { EnginePacks } from "../../../src/engine/host/engine_packs";
import { Engine } from "./fake_addon";

const machine = vi.hoisted(() => ({ happened: [] as string[], engine: {} }));

vi.mock("../../../src/engine/native/load_addon", () => ({
  loadAddon: () => ({ addon: { Engine: machine.engine }, libraryDirectory: "" }),
}));

/** Of the packs, only what the life of an engine does with them. */
vi.mock("../../../src/engine/host/engine_packs", () => ({
  createEnginePacks: () => {
    const packs: Partial<EnginePacks> = {
      forEngine: () => {
        machine.happened.push("trial begins");
        return [];
      },
      close: () => {
        machine.happened.push("trial withdrawn");
      },
      status: () => [],
      preparing: () => "",
    };
    return packs;
  },
}));

beforeEach(() => {
  machine.happened = [];
});

afterEach(() => {
  vi.restoreAllMocks();
});

function service(): EngineService {
  return new EngineService({
    extensionRoot: "",
    hostVersion: "0",
    log: () => undefined,
    clients: () => 0,
    onStatusChanged: () => undefined,
    onModelsChanged: () => undefined,
    onShutdown: () => undefined,
    onDeviceFailed: () => undefined,
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
  expect(machine.happened).toEqual(["trial begins", "trial withdrawn", "engine closes"]);
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

test("no engine is made for a request that comes while the host ends", async () => {
  machine.engine = Engine;
  const one = service();
  await one.close();
  const status = async () => one.handlers()["engine/status"]({ startEngine: true }, context);
  await expect(status()).rejects.toMatchObject({ code: "CLOSED" });
  expect(machine.happened).toEqual(["trial withdrawn"]);
});
