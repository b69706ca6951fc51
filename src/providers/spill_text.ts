import type { EngineStatus, LoadedModel } from "../shared/protocol";
import { mib } from "./memory/amounts";

/** What happened to a model's graphics memory and what was done about it, in two sentences; nothing: it is where it was. */
export function spillText({ name, spill }: Pick<LoadedModel, "name" | "spill">): string | undefined {
  if (!spill) return undefined;
  const { timesAsLong, givenBackBytes } = spill;
  const what =
    timesAsLong === null
      ? `The system grants ${name} less graphics memory than it had.`
      : `${name} suddenly took ${timesAsLong.toFixed(1)} times as long for every step: the system seems to have moved graphics memory to RAM, because programs want more than the card has.`;
  return `${what} NMOS gave ${mib(givenBackBytes)} of it back and computes with that part on the processor.`;
}

/** What the user can change. */
export const spillAdvice = "Close programs that use the graphics card, or lower nmos.engine.vramLimit.";

/** Of every loaded model. */
export function spillTexts(status: EngineStatus | undefined): string[] {
  return (status?.models ?? []).flatMap((model) => spillText(model) ?? []);
}
