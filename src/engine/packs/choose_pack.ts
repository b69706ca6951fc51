import type { NvidiaCard } from "../../shared/protocol";
import type { PackEntry } from "./pack_catalogue";

export interface PackChoice {
  /** Null: none suits, and `reason` says why. */
  pack: PackEntry | null;
  /** The card it was chosen for. */
  card: NvidiaCard | null;
  /** A sentence or two for people. */
  reason: string;
}

/** CUDA itself takes some hundred MiB of a card, so a small one holds more of a model through Vulkan. */
const leastMemoryBytes = 2.75 * 2 ** 30;

/**
 * The pack for this machine: of the catalogue's order, the first that the driver runs on one of the cards. A compute
 * capability that the driver does not tell is believed to suffice, because a backend that finds no card it can use is left
 * out anyway.
 */
export function choosePack(
  platform: string,
  cards: readonly NvidiaCard[],
  catalogue: readonly PackEntry[],
): PackChoice {
  const packs = catalogue.filter((entry) => entry.platform === platform);
  if (packs.length === 0) return none(`There is no CUDA support for ${platform}.`);
  if (cards.length === 0) return none("No NVIDIA card with a driver was found.");
  for (const pack of packs) {
    const card = cards.find((one) => objection(pack, one) === null);
    if (card) return { pack, card, reason: reasonFor(pack, card) };
  }
  const [card] = cards;
  const reasons = card ? packs.map((pack) => objection(pack, card)) : [];
  return { pack: null, card: card ?? null, reason: bestReason(reasons.filter((reason) => reason !== null)) };
}

/** Whether the driver compiles a pack's code for this card before it runs there for the first time. */
export function isCompiledAtFirstUse(pack: Pick<PackEntry, "machineCode">, { capability }: NvidiaCard): boolean {
  return capability !== null && !pack.machineCode.includes(capability);
}

interface Objection {
  text: string;
  /** What the user can do something about comes first. */
  rank: number;
}

function objection(pack: PackEntry, card: NvidiaCard): Objection | null {
  const { capability, memoryBytes, driver, name } = card;
  if (memoryBytes !== null && memoryBytes < leastMemoryBytes) {
    return {
      rank: 2,
      text: `${name} has too little memory for CUDA to gain anything: Vulkan leaves more of it to models.`,
    };
  }
  if (capability !== null && Number(capability) < pack.leastCapability) {
    return { rank: 1, text: `${name} is too old for ${pack.title}: its compute capability is ${capability}.` };
  }
  const hasMachineCode = capability !== null && pack.machineCode.includes(capability);
  const needed = hasMachineCode ? pack.machineCodeDriver : pack.compileDriver;
  if (branchOf(driver) >= needed) return null;
  return {
    rank: 0,
    text: `${pack.title} needs NVIDIA's driver ${String(needed)} or later, this machine has ${driver}: install a newer driver.`,
  };
}

/** The branch of a driver: the number before the first dot. */
function branchOf(driver: string): number {
  return Number(driver.split(".")[0]);
}

/** The last pack asks for the least. */
function bestReason(reasons: readonly Objection[]): string {
  return reasons.toReversed().toSorted((a, b) => a.rank - b.rank)[0]?.text ?? "";
}

function reasonFor(pack: PackEntry, card: NvidiaCard): string {
  const compiled = isCompiledAtFirstUse(pack, card)
    ? " The driver compiles its code for this card at the first use, which takes up to five minutes, once."
    : "";
  return `${pack.title} runs on ${card.name} with driver ${card.driver}.${compiled}`;
}

function none(reason: string): PackChoice {
  return { pack: null, card: null, reason };
}
