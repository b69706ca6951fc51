import type { DeviceStatus, EngineStatus } from "../../shared/engine_status";
import type { Tier, TierPart } from "../../shared/memory_messages";
import type { PlacedCard } from "../../shared/placement";
import { mib } from "./amounts";

type Amount = Omit<TierPart, "amount" | "share"> & { bytes: number };

/** The memory of each graphics card and RAM, in that order. */
export function memoryTiers({ devices, memory, models }: EngineStatus): Tier[] {
  const cards = devices.filter(({ kind }) => kind !== "cpu");
  const placed = models.flatMap(({ placement }) => placement.cards);
  const processor = devices.find(({ kind }) => kind === "cpu");
  return [...cards.map((card) => cardTier(card, placed)), ramTier(memory, processor)];
}

function cardTier({ name, description, kind, memoryTotal, memoryFree }: DeviceStatus, all: PlacedCard[]): Tier {
  const placed = all.filter(({ device, bytes }) => device === name && bytes > 0);
  // The card has one set of slots for all models, while each counts those that it asked for.
  const slots = most(placed, (one) => one.slots) * most(placed, (one) => one.slotBytes);
  const cache = sum(placed, (one) => one.kvBytes);
  const weights = sum(placed, (one) => Math.max(0, one.bytes - one.kvBytes - one.slots * one.slotBytes));
  const used: Amount[] = [
    { kind: "weights", label: "weights and compute buffers", bytes: weights },
    { kind: "cache", label: "KV cache", bytes: cache },
    { kind: "slots", label: "upload slots", bytes: slots },
  ];
  return tier(
    kind === "integrated" ? `Integrated graphics ${name}` : `Graphics card ${name}`,
    kind === "integrated" ? `${description}, whose memory is RAM` : description,
    memoryTotal,
    memoryFree,
    used.filter(({ bytes }) => bytes > 0),
    "free",
  );
}

function ramTier(memory: EngineStatus["memory"], processor: DeviceStatus | undefined): Tier {
  const { totalBytes, availableBytes, hostProcessBytes } = memory;
  const engine: Amount = { kind: "engine", label: "engine process", bytes: hostProcessBytes };
  return tier("RAM", processor?.description ?? "", totalBytes, availableBytes, [engine], "available");
}

/**
 * What is neither the engine's nor free is others'. Where both count the same bytes the engine has them: a mapped model
 * file is in the engine's process and yet available, and a plan counts memory that is taken only later.
 */
function tier(
  title: string,
  description: string,
  total: number,
  reportedFree: number,
  engine: Amount[],
  free: string,
): Tier {
  const own = sum(engine, ({ bytes }) => bytes);
  const other = Math.max(0, total - reportedFree - own);
  const amounts: Amount[] = [
    ...engine,
    { kind: "other", label: "other programs", bytes: other },
    { kind: "free", label: free, bytes: Math.max(0, total - own - other) },
  ];
  // Plans are estimates: together they may be more than the card has.
  const whole = Math.max(total, own + other, 1);
  const parts = amounts.map(({ kind, label, bytes }) => ({ kind, label, amount: mib(bytes), share: bytes / whole }));
  return {
    title,
    detail: [description, mib(total)].filter((part) => part !== "").join(", "),
    description: `${title}, ${mib(total)}: ${parts.map(({ label, amount }) => `${label} ${amount}`).join(", ")}.`,
    parts,
  };
}

function sum<T>(items: readonly T[], amountOf: (item: T) => number): number {
  return items.reduce((total, item) => total + amountOf(item), 0);
}

function most<T>(items: readonly T[], amountOf: (item: T) => number): number {
  return Math.max(0, ...items.map(amountOf));
}
