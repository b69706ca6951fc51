import { beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import type { EngineView } from "../../../src/providers/engine_view";
import type { PackReport } from "../../../src/shared/packs";
import { packReport } from "../support/pack_report";
import { EventEmitter, fake } from "./fake_vscode";

/** The buttons that the user presses, first to last. */
const pressed = vi.hoisted(() => ({ next: [] as (string | undefined)[] }));

vi.mock("vscode", async () => {
  const base = await import("./fake_vscode");
  const showInformationMessage = (text: string) => {
    base.fake.messages.push(text);
    return Promise.resolve(pressed.next.shift());
  };
  return { ...base, window: { ...base.window, showInformationMessage } };
});

const { registerFirstRun } = await import("../../../src/providers/first_run");

const offer = "GTX 1650 can compute with CUDA instead of Vulkan (a download of 516 MB).";

beforeEach(() => {
  fake.reset();
});

/** What the user has been asked before; windows of one user share it. */
type Memory = Map<string, unknown>;

/** Opens a window; resolves with what the engine was asked for. */
async function open(memory: Memory, report: PackReport, version = "0.1.0"): Promise<string[]> {
  const asked: string[] = [];
  const context: unknown = {
    extension: { packageJSON: { version } },
    globalState: {
      get: (key: string) => memory.get(key),
      update: (key: string, value: unknown) => Promise.resolve(memory.set(key, value)),
    },
  };
  const engine: unknown = {
    request: (method: string) => {
      asked.push(method);
      return Promise.resolve(method === "packs/list" ? report : []);
    },
  };
  const view: unknown = { onChanged: new EventEmitter<undefined>().event };
  registerFirstRun(
    context as Parameters<typeof registerFirstRun>[0],
    engine as EngineClient,
    view as EngineView,
  ).dispose();
  for (let turn = 0; turn < 5; ++turn) await new Promise(setImmediate);
  return asked;
}

describe("the first window", () => {
  test("looks for a model, then for a card, and later windows for nothing", async () => {
    const memory: Memory = new Map();
    expect(await open(memory, packReport())).toEqual(["models/list", "packs/list"]);
    expect(fake.messages).toEqual([offer]);
    expect(await open(memory, packReport())).toEqual([]);
  });

  test("installs when told to", async () => {
    pressed.next = ["Install …"];
    await open(new Map(), packReport());
    expect(fake.executed).toEqual(["nmos.installCuda"]);
  });

  test.each([
    ["nmos.engine.cuda", "off"],
    ["nmos.engine.gpu", "off"],
  ])("does not look for a card with %s %s", async (setting, value) => {
    fake.settings.set(setting, value);
    expect(await open(new Map(), packReport())).toEqual(["models/list"]);
  });
});

describe("a driver that is too old for every pack", () => {
  const reason = "CUDA 12 needs NVIDIA's driver 550: install a newer driver.";
  const old = packReport({}, { suitable: null, needsDriver: true, reason });

  test("is looked at in every window, until there is a newer one", async () => {
    const memory: Memory = new Map();
    await open(memory, old);
    expect(await open(memory, old)).toEqual(["packs/list"]);
    expect(fake.messages).toEqual([]);
    await open(memory, packReport());
    expect(fake.messages).toEqual([offer]);
    expect(await open(memory, packReport())).toEqual([]);
  });

  test("a card that no driver makes suitable is looked at once", async () => {
    const memory: Memory = new Map();
    const small = packReport({}, { suitable: null, reason: "GTX 750 has too little memory." });
    await open(memory, small);
    expect(await open(memory, small)).toEqual([]);
  });
});

describe("a new version", () => {
  test("looks again, and leaves who said no alone", async () => {
    const memory: Memory = new Map();
    pressed.next = ["No"];
    await open(memory, packReport());
    expect(await open(memory, packReport(), "0.2.0")).toEqual(["packs/list"]);
    expect(fake.messages).toEqual([offer]);
  });

  test("offers the update of what is installed", async () => {
    const memory: Memory = new Map();
    await open(memory, packReport({ installed: true }));
    expect(fake.messages).toEqual([]);
    await open(memory, packReport({ outdated: true }), "0.2.0");
    expect(fake.messages).toEqual(["This version of NMOS needs another CUDA support (a download of 516 MB)."]);
  });
});
