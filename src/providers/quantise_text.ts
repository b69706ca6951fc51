import type { ModelState } from "../shared/models";
import type { QuantiseOffer, QuantisePlan, QuantiseProgress, QuantiseResult } from "../shared/quantise";
import { formatBytes } from "./model_text";

/** What each type is good for. */
const purposes = {
  Q8_0: "hardly any loss, half of F16",
  Q4_K_M: "the usual choice: small, with little loss",
  Q4_0: "as small, fast on processors, loses more",
  IQ4_XS: "the smallest, slower to make and on processors",
} as const;

/** The line beside an offer in the list. */
export function offerDetail({ type, sizeBytes, targetExists, refusal }: QuantiseOffer): string {
  if (refusal !== "") return refusal;
  const parts = [formatBytes(sizeBytes), purposes[type]];
  if (targetExists) parts.push("replaces the file that is there");
  return parts.join(" · ");
}

/** Files of the user's own that are worth quantising: not those of the catalogue, which are small already. Largest first. */
export function quantisable(models: readonly ModelState[]): ModelState[] {
  return models
    .filter(({ ref, path, installed }) => installed && ref === path)
    .toSorted((a, b) => b.sizeBytes - a.sizeBytes);
}

/** What the user has to agree to before; one question for each. */
export function questionsOf(plan: QuantisePlan, offer: QuantiseOffer): { text: string; detail: string; yes: string }[] {
  const loss = {
    text: `The weights of this model are ${plan.type} already.`,
    detail:
      "Re-quantising loses quality. Where you can get the model as F16, BF16, F32 or Q8_0, quantise that instead.",
    yes: "Quantise Anyway",
  };
  const replace = { text: "Replace the model that is there?", detail: offer.target, yes: "Replace" };
  return [...(plan.losesQuality ? [loss] : []), ...(offer.targetExists ? [replace] : [])];
}

export function quantiseProgressText({ phase, fraction }: QuantiseProgress): string {
  if (phase === "trying") return "computing with the source";
  if (phase === "checking") return "comparing the result with the source";
  return `writing, ${String(Math.floor(100 * fraction))}%`;
}

/** What came of it, in a sentence or two. */
export function resultText({ path, sizeBytes, meanKl, sameTop }: QuantiseResult, offer: QuantiseOffer): string {
  const elsewhere = path === offer.target ? "" : ` It is ${path}, because ${offer.target} could not be replaced.`;
  const done = `The model is ${formatBytes(sizeBytes)} as ${offer.type}.${elsewhere}`;
  if (meanKl === null || sameTop === null) {
    return `${done} It finds plain text probable; its source was too large to compare it with.`;
  }
  const same = Math.round(100 * sameTop);
  return `${done} It prefers the same token as its source in ${String(same)}% of a short text (KL divergence ${meanKl.toFixed(3)}).`;
}
