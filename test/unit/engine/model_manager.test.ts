import { describe, expect, it } from "vitest";
import { ModelManager, type NativeRuntime } from "../../../src/engine/host/model_manager";
import type { ModelStore } from "../../../src/engine/models/model_store";
import type { LoadModelOptions, NativeModel } from "../../../src/engine/native/addon";
import { toEngineError } from "../../../src/shared/errors";
import { DEFAULT_ENGINE_SETTINGS, type EngineSettings } from "../../../src/shared/protocol";
import { fakeModelInfo } from "../support/fake_model_handle";
import { gate } from "./gate";

interface Machine {
  /** Largest context that fits beside what is loaded, in tokens, by the number of loaded models. */
  room?: (loaded: number) => number;
  trainedContext?: number;
  settings?: Partial<EngineSettings>;
  /** A load takes until then. */
  until?: Promise<void>;
}

class Cancellation {
  cancelled = false;
  cancel(): void {
    this.cancelled = true;
  }
}

/** A manager over a machine with so much room; keeps what was loaded and closed. */
function manager({ room = () => Infinity, trainedContext = Infinity, settings = {}, until }: Machine = {}) {
  const events: string[] = [];
  let loaded = 0;
  const refuse = (code: string) => Promise.reject(Object.assign(new Error(code), { code }));
  const loadModel = async (options: LoadModelOptions): Promise<NativeModel | null> => {
    const { path, contextLength, cancellation, onProgress } = options;
    await new Promise((resolve) => setImmediate(resolve));
    onProgress?.(0.5);
    await until;
    if (cancellation?.cancelled) {
      events.push(`cancel ${path}`);
      return null;
    }
    if (contextLength > trainedContext) return refuse("CONTEXT_TOO_LONG");
    if (contextLength > room(loaded)) return refuse("OUT_OF_MEMORY");
    loaded += 1;
    events.push(`load ${path} ${String(contextLength)}`);
    return {
      info: fakeModelInfo(null),
      placement: { contextLength, layers: 1, deviceLayers: 0, hostBytes: 10, deviceBytes: 1, explanation: [] },
      close: () => {
        loaded -= 1;
        events.push(`close ${path}`);
        return Promise.resolve();
      },
    } as unknown as NativeModel;
  };
  const store = {
    choose: (choice: string) => Promise.resolve({ ref: choice, name: choice, path: choice, roles: [], sizeBytes: 1 }),
  } as unknown as ModelStore;
  const one = new ModelManager({
    runtime: () => ({ engine: { loadModel }, addon: { Cancellation } }) as unknown as NativeRuntime,
    store,
    settings: () => ({ ...DEFAULT_ENGINE_SETTINGS, ...settings }),
    log: () => undefined,
    onChanged: () => undefined,
  });
  return { one, events };
}

const nothing = () => Promise.resolve();
const codeOf = (thrown: unknown) => toEngineError(thrown).code;

/** Resolves when a load is under way and has reported. */
async function begun(one: ModelManager): Promise<void> {
  while (one.loading()[0]?.fraction !== 0.5) await new Promise((resolve) => setImmediate(resolve));
}

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
    await one.unload();
    open();
    expect(await using).toBe(3000);
    expect(events).toEqual(["load a 2000", "close a", "load a 3000"]);
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
    expect(await one.unload("a")).toEqual({ freedBytes: 11 });
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
    await one.unloadIdle(Date.now() + idleMs);
    expect(one.loaded()).toHaveLength(unloaded ? 0 : 1);
  });
});
