/** The memory benchmark on a card of this machine, of which it uses only a part: the models are larger than that. */
import { EngineError } from "../../src/shared/errors";
import type { RealCard } from "../benchmark";
import type { Scenario } from "./scenario";

type Model = Omit<Scenario, "card">;

/** At least as fast as the best split, wherever a model does not fit: how much there is to gain depends on the machine. */
const decodeTarget = 1;

export const cardModels: readonly Model[] = [
  { shape: "qwen2.5-coder-7b", label: "7B", layers: 28, decodeTarget },
  { shape: "qwen2.5-coder-14b", label: "14B", layers: 48, decodeTarget },
  { shape: "qwen2.5-coder-32b", label: "32B", layers: 64, decodeTarget },
];

/** As the benchmark's programs take it, and as rows name it. */
export function cardName({ device, vramLimitMiB }: RealCard): string {
  return `${device}@${String(vramLimitMiB)}`;
}

/** Whether the programs' name of a card is that of a real one. */
export function isRealCard(card: string): boolean {
  return card.includes("@");
}

export function cardScenarios(card: RealCard, models: readonly Model[] = cardModels): Scenario[] {
  return models.map((model) => ({ ...model, card: cardName(card) }));
}

/** With less nothing of a model has room beside its buffers. */
const leastLimitMiB = 128;

/** The two options belong together; null where neither is given. Throws `INVALID_ARGUMENT`. */
export function parseCard(device: string | undefined, limit: string | undefined): RealCard | null {
  if (device === undefined && limit === undefined) return null;
  const vramLimitMiB = Number(limit);
  if (!device || /[@+]/.test(device) || !Number.isInteger(vramLimitMiB) || vramLimitMiB < leastLimitMiB) {
    throw new EngineError(
      "INVALID_ARGUMENT",
      `Expected a device such as Vulkan0 and at least ${String(leastLimitMiB)} MiB, as in --device Vulkan0 --vram-limit 4096; got ${device ?? "no device"} and ${limit ?? "no limit"}.`,
    );
  }
  return { device, vramLimitMiB };
}
