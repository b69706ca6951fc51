import { describe, expect, it } from "vitest";
import { GraphicsMemory, missingBytes } from "../../../src/engine/host/graphics_memory";
import type { NativeAddon, NativeCancellation, NativeEngine, NativeModel } from "../../../src/engine/native/addon";
import { toEngineError } from "../../../src/shared/errors";
import { endedOrCancelled, gate } from "./gate";

const mib = 2 ** 20;
const codeOf = (thrown: unknown) => toEngineError(thrown).code;
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

class Cancellation implements NativeCancellation {
  cancelled = false;
  cancel(): void {
    this.cancelled = true;
  }
}

/** The memory of a model on a card with room, which requests want. Its operations run one after the other, as in the core. */
function memory(releasableMiB = 1000) {
  const events: string[] = [];
  const card = { name: "GPU", memoryFree: 2 ** 40, isLost: false };
  const requests = { count: 1 };
  let released = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T> | T): Promise<T> => {
    const result = turn.then(work);
    turn = result;
    return result;
  };
  let filling: Promise<void> = Promise.resolve();
  const model = {
    placement: { cards: [{ device: "GPU" }] },
    get activity() {
      return { releasedBytes: released * mib, releasedOfCards: [released * mib] };
    },
    release: ({ bytes = Infinity }) =>
      inTurn(() => {
        const given = Math.min(bytes / mib, releasableMiB - released);
        released += given;
        events.push(`release ${String(given)}`);
        return given * mib;
      }),
    prefetch: ({ bytes, cancellation }: { bytes: number; cancellation: Cancellation }) =>
      inTurn(async () => {
        await endedOrCancelled(filling, cancellation);
        const restored = Math.min(released, bytes / mib);
        const amount = restored < released ? ` ${String(restored)}` : "";
        events.push(cancellation.cancelled ? "stopped" : `filled${amount}`);
        if (cancellation.cancelled) return 0;
        released -= restored;
        return restored * mib;
      }),
  } as unknown as NativeModel;
  const engine = {
    devices: () => {
      if (card.isLost) throw new Error("the card is lost");
      return [card];
    },
  } as unknown as NativeEngine;
  const one = new GraphicsMemory({
    addon: { Cancellation } as unknown as NativeAddon,
    engine,
    model,
    name: "a",
    isWanted: () => requests.count > 0,
    log: (line) => {
      if (line.includes("failed")) events.push(line);
    },
    onChanged: () => undefined,
  });
  return {
    one,
    events,
    card,
    requests,
    /** Loads of other models and the like, until they are over. */
    keepBusy: (until: Promise<void>) => void inTurn(() => until),
    /** Further fillings take until then. */
    fillUntil: (until: Promise<void>): void => {
      filling = until;
    },
  };
}

describe("filling", () => {
  it("is for requests: without any it waits for the next", async () => {
    const { one, events, requests } = memory();
    requests.count = 0;
    await one.release("idle");
    one.fill();
    await settled();
    expect(events).toEqual(["release 1000"]);
    requests.count = 1;
    one.fill();
    await settled();
    expect(events).toEqual(["release 1000", "filled"]);
    expect(one.releasedBytes).toBe(0);
  });

  it("follows a release that was under way when a request came", async () => {
    const { one, events, requests, keepBusy } = memory();
    const { opened, open } = gate();
    keepBusy(opened);
    requests.count = 0;
    const releasing = one.release("idle");
    requests.count = 1;
    one.fill();
    open();
    await releasing;
    await settled();
    expect(events).toEqual(["release 1000", "filled"]);
  });

  it("follows one that a release has ended when a request came", async () => {
    const { one, events, requests, fillUntil } = memory();
    requests.count = 0;
    await one.release("idle", 500 * mib);
    fillUntil(gate().opened);
    requests.count = 1;
    one.fill();
    requests.count = 0;
    const releasing = one.release("idle");
    requests.count = 1;
    one.fill();
    fillUntil(Promise.resolve());
    await releasing;
    await settled();
    expect(events.slice(-3)).toEqual(["stopped", "release 500", "filled"]);
  });

  it("that was stopped goes on with the next request, also one that comes before it has ended", async () => {
    const { one, events, requests, fillUntil } = memory();
    requests.count = 0;
    await one.release("idle");
    fillUntil(gate().opened);
    requests.count = 1;
    one.fill();
    one.stopFilling();
    fillUntil(Promise.resolve());
    one.fill();
    await settled();
    expect(events).toEqual(["release 1000", "stopped", "filled"]);
  });

  it("leaves the usual margin free, so that memory on the brink does not come and go", async () => {
    const { one, events, card, requests } = memory();
    requests.count = 0;
    await one.release("idle");
    requests.count = 1;
    for (const free of [200, 384 + 63, 384 + 64, 384 + 899, 384 + 900]) {
      card.memoryFree = free * mib;
      one.fill();
      await settled();
    }
    expect(events).toEqual(["release 1000", "filled 64", "filled 899", "filled"]);
    const missing = (free: number, beyond: number) =>
      missingBytes({ memoryFree: free * mib, memoryBeyond: beyond * mib }) / mib;
    expect([missing(384, 0), missing(128, 0), missing(100, 0), missing(0, 3000)]).toEqual([0, 0, 284, 3384]);
  });

  it("that fails is logged and no more", async () => {
    const { one, events, card, requests } = memory();
    requests.count = 0;
    await one.release("idle");
    requests.count = 1;
    card.isLost = true;
    one.fill();
    expect(events.at(-1)).toContain("the card is lost");
  });
});

describe("a release", () => {
  it("asks the core for nothing where nothing can be given back any more", async () => {
    const { one, events, requests } = memory();
    requests.count = 0;
    expect(await one.release("idle")).toBe(1000 * mib);
    expect(await one.release("idle")).toBe(0);
    expect(events).toEqual(["release 1000"]);
    requests.count = 1;
    one.fill();
    await settled();
    requests.count = 0;
    expect(await one.release("others", 400 * mib)).toBe(400 * mib);
    expect(await one.release("others", 700 * mib)).toBe(600 * mib);
    expect(await one.release("others", 700 * mib)).toBe(0);
    expect(events.slice(1)).toEqual(["filled", "release 400", "release 600"]);
  });
});

describe("room for a session", () => {
  /** Fails as often as is said, and keeps the calls. */
  function refused(times: number, code = "OUT_OF_MEMORY") {
    const calls: number[] = [];
    const session = {};
    const action = () => {
      calls.push(calls.length);
      if (calls.length <= times) return Promise.reject(Object.assign(new Error(code), { code }));
      return Promise.resolve(session);
    };
    return { calls, action, session };
  }

  it.each<[name: string, times: number, code: string, expected: string, calls: number, events: string[]]>([
    ["is not made where none is needed", 0, "", "made", 1, []],
    ["is made once", 1, "OUT_OF_MEMORY", "made", 2, ["release 200"]],
    ["is not made twice", 2, "OUT_OF_MEMORY", "OUT_OF_MEMORY", 2, ["release 200"]],
    ["is not made after another failure", 1, "CLOSED", "CLOSED", 1, []],
  ])("%s", async (_, times, code, expected, calls, released) => {
    const { one, events } = memory();
    const made = refused(times, code);
    expect(await one.withRoom({ GPU: 200 * mib }, made.action).then(() => "made", codeOf)).toBe(expected);
    expect([made.calls.length, events]).toEqual([calls, released]);
  });

  it("that cannot be made is not tried in vain", async () => {
    const { one } = memory(0);
    const made = refused(1);
    await expect(one.withRoom({ GPU: 200 * mib }, made.action)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    expect(made.calls).toHaveLength(1);
  });

  it("comes back when it was in vain", async () => {
    const { one, events } = memory();
    await expect(one.withRoom({ GPU: 200 * mib }, refused(2).action)).rejects.toThrow();
    await settled();
    expect(events).toEqual(["release 200", "filled"]);
  });

  it("is not filled while the session is made", async () => {
    const { one, events, requests } = memory();
    requests.count = 0;
    await one.release("idle", 500 * mib);
    requests.count = 1;
    const made = refused(1);
    await one.withRoom({ GPU: 200 * mib }, async () => {
      await made.action();
      one.fill();
      await settled();
      events.push("made");
      return made.session;
    });
    await settled();
    expect(events).toEqual(["release 500", "release 200", "made", "filled 500"]);
  });

  it("is not filled afterwards", async () => {
    const { one, events } = memory();
    await one.withRoom({ GPU: 200 * mib }, refused(1).action);
    one.fill();
    await settled();
    expect(events).toEqual(["release 200"]);
    expect(one.releasedBytes).toBe(200 * mib);
  });

  it("comes back when the session is closed, and only then", async () => {
    const { one, events } = memory();
    const made = refused(1);
    await one.withRoom({ GPU: 200 * mib }, made.action);
    const other = refused(1);
    await one.withRoom({ GPU: 100 * mib }, other.action);
    one.takeBack({});
    await settled();
    expect(events).toEqual(["release 200", "release 100"]);
    one.takeBack(made.session);
    one.takeBack(made.session);
    await settled();
    expect(events.slice(2)).toEqual(["filled 200"]);
    expect(one.givenUpOn("GPU")).toBe(100 * mib);
  });

  it("is left to the session when the rest is filled", async () => {
    const { one, events, requests } = memory();
    await one.withRoom({ GPU: 200 * mib }, refused(1).action);
    requests.count = 0;
    await one.release("idle");
    requests.count = 1;
    one.fill();
    await settled();
    expect(events).toEqual(["release 200", "release 800", "filled 800"]);
    await one.release("others", 100 * mib);
    await settled();
    expect(events.slice(3)).toEqual(["release 100", "filled 100"]);
  });
});

describe("the memory of a model over two cards", () => {
  function overTwo() {
    const events: string[] = [];
    const cards = [
      { name: "A", memoryFree: 2 ** 40 },
      { name: "B", memoryFree: 2 ** 40 },
    ];
    const released = [0, 0];
    const indexOf = (device?: string) => cards.findIndex(({ name }) => name === device);
    const model = {
      placement: { cards: cards.map(({ name }) => ({ device: name })) },
      get activity() {
        const releasedOfCards = released.map((amount) => amount * mib);
        return { releasedBytes: releasedOfCards.reduce((sum, bytes) => sum + bytes, 0), releasedOfCards };
      },
      release: ({ bytes = Infinity, device }: { bytes?: number; device?: string }) => {
        const index = indexOf(device);
        const given = Math.min(bytes / mib, 500 - (released[index] ?? 0));
        released[index] = (released[index] ?? 0) + given;
        events.push(`release ${String(given)} of ${String(device)}`);
        return Promise.resolve(given * mib);
      },
      prefetch: ({ bytes, device }: { bytes: number; device?: string }) => {
        const index = indexOf(device);
        released[index] = (released[index] ?? 0) - bytes / mib;
        events.push(`fill ${String(bytes / mib)} of ${String(device)}`);
        return Promise.resolve(bytes);
      },
    } as unknown as NativeModel;
    const requests = { count: 0 };
    const one = new GraphicsMemory({
      addon: { Cancellation } as unknown as NativeAddon,
      engine: { devices: () => cards } as unknown as NativeEngine,
      model,
      name: "a",
      isWanted: () => requests.count > 0,
      log: () => undefined,
      onChanged: () => undefined,
    });
    return { one, events, cards, requests };
  }

  it("is given back as a whole while it is idle", async () => {
    const { one, events } = overTwo();
    expect(await one.release("idle")).toBe(1000 * mib);
    expect(events).toEqual(["release 500 of A", "release 500 of B"]);
    expect(one.releasedBytes).toBe(1000 * mib);
  });

  it("is given back on the card that others need, and on no other", async () => {
    const { one, events } = overTwo();
    expect(await one.release("others", 700 * mib, "B")).toBe(500 * mib);
    expect(await one.release("others", 100 * mib, "B")).toBe(0);
    expect(await one.release("others", 100 * mib, "A")).toBe(100 * mib);
    expect(events).toEqual(["release 500 of B", "release 100 of A"]);
  });

  it("is filled on each card as far as there is room", async () => {
    const { one, events, cards, requests } = overTwo();
    await one.release("idle");
    for (const card of cards) card.memoryFree = (card.name === "A" ? 100 : 384 + 200) * mib;
    requests.count = 1;
    one.fill();
    await settled();
    expect(events.slice(2)).toEqual(["fill 200 of B"]);
    for (const card of cards) card.memoryFree = 2 ** 40;
    one.fill();
    await settled();
    expect(events.slice(3)).toEqual(["fill 500 of A", "fill 300 of B"]);
  });

  it("goes to a session on the cards where it needs some, and is not filled there", async () => {
    const { one, events, requests } = overTwo();
    const session = {};
    let calls = 0;
    const action = () => {
      calls += 1;
      const refusal = Object.assign(new Error(), { code: "OUT_OF_MEMORY" });
      return calls === 1 ? Promise.reject(refusal) : Promise.resolve(session);
    };
    expect(await one.withRoom({ A: 30 * mib, B: 70 * mib, C: 10 * mib }, action)).toBe(session);
    expect(events).toEqual(["release 30 of A", "release 70 of B"]);
    expect([one.givenUpOn("A"), one.givenUpOn("B"), one.givenUpOn("C")]).toEqual([30 * mib, 70 * mib, 0]);
    await one.release("idle");
    requests.count = 1;
    one.fill();
    await settled();
    expect(events.slice(4)).toEqual(["fill 470 of A", "fill 430 of B"]);
    one.takeBack(session);
    await settled();
    expect(events.slice(6)).toEqual(["fill 30 of A", "fill 70 of B"]);
  });

  it("goes to a session only on the card that has no room for it", async () => {
    const { one, events, cards } = overTwo();
    for (const card of cards) if (card.name === "B") card.memoryFree = 60 * mib;
    const refuse = () => Promise.reject(Object.assign(new Error(), { code: "OUT_OF_MEMORY" }));
    const session = {};
    let calls = 0;
    const made = await one.withRoom({ A: 30 * mib, B: 70 * mib }, () =>
      ++calls === 1 ? refuse() : Promise.resolve(session),
    );
    expect(made).toBe(session);
    expect(events).toEqual(["release 70 of B"]);
    await expect(one.withRoom({ A: 30 * mib }, refuse)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    expect(events.slice(1)).toEqual(["release 30 of A"]);
    expect(one.givenUpOn("A")).toBe(0);
  });

  it("is given up on one card for good, and filled on the other", async () => {
    const { one, events, requests } = overTwo();
    expect(await one.giveUp("slow", 200 * mib, "B")).toBe(200 * mib);
    expect([one.releasedBytes, one.awayBytes]).toEqual([200 * mib, 0]);
    expect(await one.giveUp("slow", 200 * mib, "C")).toBe(0);
    await one.release("idle");
    expect(one.awayBytes).toBe(800 * mib);
    requests.count = 1;
    one.fill();
    await settled();
    expect(events).toEqual([
      "release 200 of B",
      "release 500 of A",
      "release 300 of B",
      "fill 500 of A",
      "fill 300 of B",
    ]);
    expect([one.givenUpOn("A"), one.givenUpOn("B")]).toEqual([0, 200 * mib]);
  });
});
