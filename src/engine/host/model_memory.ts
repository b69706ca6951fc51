import type { NativeEngine, NativePlacement } from "../native/addon";

/** What a further session leaves free on every device it takes memory of. */
const sessionMarginBytes = 384 * 2 ** 20;

const mostStoreBytes = 512 * 2 ** 20;

/** A placement with the KV cache of all sessions; the core's plan counts one, also before it is made. */
export function withSessions(placement: NativePlacement, sessions: number): NativePlacement {
  const further = Math.max(0, sessions - 1);
  return {
    ...placement,
    kvBytes: placement.kvBytes * (1 + further),
    deviceBytes: placement.deviceBytes + further * sessionBytes(placement).device,
  };
}

/**
 * How many further sessions fit into what is free, wherever the layers lie, and into `vramLeftBytes`, which the user
 * still allows; `vramReservedBytes` of both are kept for another model.
 */
export function roomForSessions(
  placement: NativePlacement,
  engine: NativeEngine,
  vramLeftBytes: number,
  vramReservedBytes: number,
): number {
  const { host, device } = sessionBytes(placement);
  const inRam = fitting(host, engine.memory().availableBytes - sessionMarginBytes);
  if (device === 0) return inRam;
  const free = engine.devices().find(({ name }) => name === placement.device)?.memoryFree ?? 0;
  return Math.min(inRam, fitting(device, Math.min(free - sessionMarginBytes, vramLeftBytes) - vramReservedBytes));
}

/** The KV cache of one session, by where it lies. */
export function sessionBytes({ layers, deviceLayers, kvBytes }: NativePlacement): { host: number; device: number } {
  const device = Math.ceil((kvBytes * deviceLayers) / layers);
  return { host: kvBytes - device, device };
}

function fitting(bytes: number, freeBytes: number): number {
  if (freeBytes < 0) return 0;
  return bytes > 0 ? Math.floor(freeBytes / bytes) : Infinity;
}

/** What the copies of one model's KV caches may take of the RAM that is available. */
export function storeBytes(availableBytes: number): number {
  return Math.min(mostStoreBytes, availableBytes / 16);
}
