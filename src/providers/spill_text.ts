import type { LoadedModel } from "../shared/engine_status";
import { mib } from "./memory/amounts";

type Spilled = Pick<LoadedModel, "name" | "spill">;

/** What the user can change. */
const advice = "Close programs that use the graphics card, or lower nmos.engine.vramLimit.";

/** What happened to the graphics memory of these models and, last, what the user can change; nothing: it is where it was. */
export function spillTexts(models: readonly Spilled[]): string[] {
  const texts = models.flatMap((model) => spillText(model) ?? []);
  return texts.length > 0 ? [...texts, advice] : [];
}

/** What happened and what was done about it, in two sentences. */
function spillText({ name, spill }: Spilled): string | undefined {
  if (!spill) return undefined;
  const { timesAsLong, givenBackBytes } = spill;
  const what =
    timesAsLong === null
      ? `The system grants ${name} less graphics memory than it had.`
      : `${name} suddenly took ${timesAsLong.toFixed(1)} times as long for every step: the system seems to have moved graphics memory to RAM, because programs want more than the card has.`;
  return `${what} NMOS gave ${mib(givenBackBytes)} of it back and computes with that part on the processor.`;
}
