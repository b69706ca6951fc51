import type { ModelRole } from "../../shared/models";
import type { CatalogueEntry } from "./catalogue";

const gibibyte = 2 ** 30;

/** The operating system, the editor and the browser need memory too. */
const othersBytes = 2.5 * gibibyte;

/**
 * Ghost text must come within a blink, which on a machine below this only the smallest model does. Machines sold with
 * 32 GB report somewhat less, because firmware and graphics keep a part.
 */
const bigMachine = 28 * gibibyte;

/** More would fit some machines, but a bigger model answers too slowly there to be the first one a user meets. */
const largestRecommended = 5e9;

/** Whether a machine with so much RAM can run the model beside the user's other programs. */
export function fits({ requiredBytes }: Pick<CatalogueEntry, "requiredBytes">, totalMemoryBytes: number): boolean {
  return requiredBytes + othersBytes <= totalMemoryBytes;
}

/** The id of the model to propose for a role: for ghost text the fastest, for chat the best that fits. Pure. */
export function recommend(
  catalogue: readonly CatalogueEntry[],
  role: ModelRole,
  totalMemoryBytes: number,
): string | null {
  const candidates = catalogue
    .filter(({ roles, commercialUse, trainedForCode }) => roles.includes(role) && commercialUse && trainedForCode)
    .filter((entry) => entry.sizeBytes <= largestRecommended && fits(entry, totalMemoryBytes))
    .toSorted((a, b) => a.sizeBytes - b.sizeBytes);
  const smallest = candidates[0]?.id ?? null;
  if (role === "main") return candidates.at(-1)?.id ?? null;
  return totalMemoryBytes >= bigMachine ? (candidates[1]?.id ?? smallest) : smallest;
}
