import { describe, expect, it } from "vitest";
import { roomForSessions, sessionBytes, withSessions } from "../../../src/engine/host/model_memory";
import type { NativeEngine, NativePlacement } from "../../../src/engine/native/addon";
import type { PlacedCard } from "../../../src/shared/placement";

const mib = 2 ** 20;
const margin = 384;

function placed(device: string, kvMiB: number): PlacedCard {
  return { device, firstLayer: 0, layers: 1, bytes: 1000 * mib, kvBytes: kvMiB * mib, slots: 0, slotBytes: 0 };
}

/** Of 100 MiB of KV cache, 10 in RAM. */
const overTwo = {
  kvBytes: 100 * mib,
  deviceBytes: 2000 * mib,
  cards: [placed("A", 60), placed("B", 30)],
} as unknown as NativePlacement;

describe("the KV cache of a model over two cards", () => {
  it("lies where its layers lie", () => {
    expect(sessionBytes(overTwo)).toEqual({ host: 10 * mib, byDevice: { A: 60 * mib, B: 30 * mib } });
  });

  it("is counted on each card for every session", () => {
    const { kvBytes, deviceBytes, cards } = withSessions(overTwo, 3);
    expect([kvBytes, deviceBytes].map((bytes) => bytes / mib)).toEqual([300, 2180]);
    expect(cards.map((card) => [card.bytes / mib, card.kvBytes / mib])).toEqual([
      [1120, 180],
      [1060, 90],
    ]);
  });
});

describe("room for sessions", () => {
  function check(
    name: string,
    free: { a: number; b: number; ram?: number; integrated?: number },
    left: number | { A: number; B: number },
    kept: number,
    room: number,
  ) {
    it(name, () => {
      const { a, b, ram = 10_000, integrated = 0 } = free;
      const engine = {
        memory: () => ({ availableBytes: (ram + margin) * mib }),
        devices: () => [
          { name: "CPU", kind: "cpu", memoryFree: 2 ** 40 },
          { name: "A", kind: "gpu", memoryFree: (a + margin) * mib },
          { name: "B", kind: "gpu", memoryFree: (b + margin) * mib },
          { name: "C", kind: "integrated", memoryFree: integrated * mib },
        ],
      } as unknown as NativeEngine;
      const leftOn = (device: string) => (typeof left === "number" ? left : device === "A" ? left.A : left.B) * mib;
      expect(roomForSessions(overTwo, engine, leftOn, kept * mib)).toBe(room);
    });
  }

  check("is what the card has where there is least", { a: 300, b: 60 }, Infinity, 0, 2);
  check("is what the other one has", { a: 61, b: 900 }, Infinity, 0, 1);
  check("is none where one of them has none", { a: 900, b: 0 }, Infinity, 0, 0);
  check("is what RAM has for the layers there", { a: 900, b: 900, ram: 25 }, Infinity, 0, 2);
  check("keeps to the limit of each card", { a: 900, b: 900 }, 130, 0, 2);
  check("leaves what is kept for another model on the card with the most memory", { a: 300, b: 90 }, Infinity, 200, 1);
  check(
    "leaves it there, too, where graphics of the processor offer more of RAM",
    { a: 300, b: 90, integrated: 10_000 },
    Infinity,
    200,
    1,
  );
  check("and nothing on the other one", { a: 900, b: 90 }, Infinity, 200, 3);
  check("and where the limit leaves the most of it", { a: 900, b: 300 }, { A: 130, B: 500 }, 200, 2);
});
