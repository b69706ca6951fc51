import { describe, expect, it } from "vitest";
import type { ModelManager } from "../../../src/engine/host/model_manager";
import type { PlanOptions } from "../../../src/engine/native/addon";
import type { ModelRole } from "../../../src/shared/models";
import { gate } from "./gate";
import { manager, mib, nothing, type Machine } from "./manager_fixture";

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
    const limit = { vramLimitBytes: 300 * mib, vramUsedBytes: {}, vramGrantedBytes: {} };
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
