import type { AheadResult, Usage } from "../../shared/generation";
import type { ModelChoice, ModelRole } from "../../shared/models";
import type { AheadBudget } from "./ahead_budget";
import type { ModelHandle } from "./model_handle";

/** What holds for work that nobody waits for. */
export interface AheadLimits {
  signal: AbortSignal;
  /** Whether the model is loaded for it. */
  mayLoad: boolean;
  /** Whether it counts as no use of the model, and leaves one that gave memory back in peace. */
  isIdle: boolean;
  /** Default: that of the role. */
  budget?: AheadBudget;
}

/** Computes ahead within limits; null where that is not allowed now. `timeOf` says what it took, in milliseconds. */
export type ComputeAhead = <T extends object>(
  choice: ModelChoice,
  role: ModelRole,
  limits: AheadLimits,
  compute: (model: ModelHandle, signal: AbortSignal) => Promise<T | null>,
  timeOf: (result: T) => number,
) => Promise<T | null>;

export function prefillTime({ computeMs }: NonNullable<AheadResult>): number {
  return computeMs;
}

export function completionTime({ usage }: { usage: Usage }): number {
  return usage.prefillMs + usage.decodeMs;
}
