import type { NvidiaCard } from "../../shared/packs";
import type { PackEntry } from "./pack_catalogue";

export interface PackChoice {
  /** Null: none suits, and `reason` says why. */
  pack: PackEntry | null;
  /** Those it runs on; the others compute through Vulkan. */
  cards: NvidiaCard[];
  /** A sentence or two for people. */
  reason: string;
  /** None suits now, but one would with a newer driver. */
  needsDriver: boolean;
}

/** CUDA itself takes some hundred MiB of a card, so a small one holds more of a model through Vulkan. */
const leastMemoryBytes = 2.75 * 2 ** 30;

/**
 * The pack for this machine: of the catalogue's order, the first that the driver runs on every card of sufficient memory, or
 * else on one of them. A compute capability that the driver does not tell is believed to suffice, because a backend that finds no card it can use is left
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
  const large = cards.filter(hasEnoughMemory);
  const runsOn = (pack: PackEntry) => (card: NvidiaCard) => objection(pack, card) === null;
  const pack =
    packs.find((one) => large.length > 0 && large.every(runsOn(one))) ?? packs.find((one) => large.some(runsOn(one)));
  if (pack) {
    const suitable = large.filter(runsOn(pack));
    return { pack, cards: suitable, reason: reasonFor(pack, suitable, cards), needsDriver: false };
  }
  const [card] = cards;
  const reasons = card ? packs.map((one) => objection(one, card)) : [];
  const needsDriver = packs.some((one) => cards.some((each) => objection(one, each)?.rank === driverRank));
  return { ...none(bestReason(reasons.filter((reason) => reason !== null))), needsDriver };
}

/** The driver with which a pack would run on one of the cards; null when it does already, or no driver helps. */
export function missingDriver(pack: PackEntry, cards: readonly NvidiaCard[]): number | null {
  const objections = cards.map((card) => ({ card, rank: objection(pack, card)?.rank ?? null }));
  if (objections.some(({ rank }) => rank === null)) return null;
  const needed = objections.filter(({ rank }) => rank === driverRank).map(({ card }) => neededDriver(pack, card));
  return needed.length > 0 ? Math.min(...needed) : null;
}

/** Whether the driver compiles a pack's code for this card before it runs there for the first time. */
export function isCompiledAtFirstUse(pack: Pick<PackEntry, "machineCode">, { capability }: NvidiaCard): boolean {
  return capability !== null && !pack.machineCode.includes(capability);
}

/** Of an objection that a newer driver removes. */
const driverRank = 0;

interface Objection {
  text: string;
  /** What the user can do something about comes first. */
  rank: number;
}

function objection(pack: PackEntry, card: NvidiaCard): Objection | null {
  const { capability, driver, name } = card;
  if (!hasEnoughMemory(card)) {
    return {
      rank: 2,
      text: `${name} has too little memory for CUDA to gain anything: Vulkan leaves more of it to models.`,
    };
  }
  if (capability !== null && Number(capability) < pack.leastCapability) {
    return { rank: 1, text: `${name} is too old for ${pack.title}: its compute capability is ${capability}.` };
  }
  const needed = neededDriver(pack, card);
  if (branchOf(driver) >= needed) return null;
  return {
    rank: driverRank,
    text: `${pack.title} needs NVIDIA's driver ${String(needed)} or later, this machine has ${driver}: install a newer driver.`,
  };
}

/** The least branch of the driver that runs a pack's code on this card, or compiles it. */
function neededDriver(pack: PackEntry, { capability }: NvidiaCard): number {
  const hasMachineCode = capability !== null && pack.machineCode.includes(capability);
  return hasMachineCode ? pack.machineCodeDriver : pack.compileDriver;
}

function hasEnoughMemory({ memoryBytes }: NvidiaCard): boolean {
  return memoryBytes === null || memoryBytes >= leastMemoryBytes;
}

/** The branch of a driver: the number before the first dot. */
function branchOf(driver: string): number {
  return Number(driver.split(".")[0]);
}

/** The last pack asks for the least. */
function bestReason(reasons: readonly Objection[]): string {
  return reasons.toReversed().toSorted((a, b) => a.rank - b.rank)[0]?.text ?? "";
}

function reasonFor(pack: PackEntry, suitable: readonly NvidiaCard[], all: readonly NvidiaCard[]): string {
  const compiled = suitable.some((card) => isCompiledAtFirstUse(pack, card))
    ? " The driver compiles its code for this card at the first use, which takes up to five minutes, once."
    : "";
  const others = all.filter((card) => !suitable.includes(card));
  const rest = others.length > 0 ? ` Through Vulkan computes ${namesOf(others)}.` : "";
  return `${pack.title} runs on ${namesOf(suitable)} with driver ${suitable[0]?.driver ?? ""}.${compiled}${rest}`;
}

function namesOf(cards: readonly NvidiaCard[]): string {
  return cards.map(({ name }) => name).join(" and ");
}

function none(reason: string): PackChoice {
  return { pack: null, cards: [], reason, needsDriver: false };
}
