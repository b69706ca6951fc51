import type { NativeDevice, NativeEngine, NativePlacement } from "../native/addon";

/** What a further session leaves free on every device it takes memory of. */
const sessionMarginBytes = 384 * 2 ** 20;

const mostStoreBytes = 512 * 2 ** 20;

/** A placement with the KV cache of all sessions; the core's plan counts one, also before it is made. */
export function withSessions(placement: NativePlacement, sessions: number): NativePlacement {
  const further = Math.max(0, sessions - 1);
  const { kvBytes, deviceBytes, cards } = placement;
  return {
    ...placement,
    kvBytes: kvBytes * (1 + further),
    deviceBytes: deviceBytes + further * onCards(placement),
    cards: cards.map((card) => ({
      ...card,
      bytes: card.bytes + further * card.kvBytes,
      kvBytes: card.kvBytes * (1 + further),
    })),
  };
}

/**
 * How many further sessions fit into what is free, wherever the layers lie, and into what the user still allows of every
 * card, `vramLeftOn`; `vramReservedBytes` of both are kept for another model, on the card with the most of it, which an
 * integrated one is only where there is no other.
 */
export function roomForSessions(
  placement: NativePlacement,
  engine: NativeEngine,
  vramLeftOn: (device: string) => number,
  vramReservedBytes: number,
): number {
  const { host } = sessionBytes(placement);
  const inRam = fitting(host, engine.memory().availableBytes - sessionMarginBytes);
  const cards = placement.cards.filter(({ kvBytes }) => kvBytes > 0);
  if (cards.length === 0) return inRam;
  const devices = engine.devices().filter(({ kind }) => kind !== "cpu");
  const cardFirst = ({ kind }: NativeDevice) => Number(kind !== "gpu");
  const roomOn = ({ name, memoryFree }: NativeDevice) => Math.min(memoryFree - sessionMarginBytes, vramLeftOn(name));
  const [roomiest] = devices.toSorted(
    (a, b) => cardFirst(a) - cardFirst(b) || roomOn(b) - roomOn(a) || b.memoryFree - a.memoryFree,
  );
  const onCard = cards.map(({ device, kvBytes }) => {
    const card = devices.find(({ name }) => name === device);
    const reserved = device === roomiest?.name ? vramReservedBytes : 0;
    return fitting(kvBytes, card ? roomOn(card) - reserved : -1);
  });
  return Math.min(inRam, ...onCard);
}

/** The KV cache of one session, by where it lies. */
export function sessionBytes(placement: NativePlacement): { host: number; byDevice: Record<string, number> } {
  const { kvBytes, cards } = placement;
  return {
    host: kvBytes - onCards(placement),
    byDevice: Object.fromEntries(cards.map((card) => [card.device, card.kvBytes])),
  };
}

function onCards({ cards }: NativePlacement): number {
  return cards.reduce((sum, { kvBytes }) => sum + kvBytes, 0);
}

function fitting(bytes: number, freeBytes: number): number {
  if (freeBytes < 0) return 0;
  return bytes > 0 ? Math.floor(freeBytes / bytes) : Infinity;
}

/** What the copies of one model's KV caches may take of the RAM that is available. */
export function storeBytes(availableBytes: number): number {
  return Math.min(mostStoreBytes, availableBytes / 16);
}
