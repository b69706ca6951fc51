import type { NativeDivergence, NativeWeightSummary } from "../native/addon";
import type { ErrorCode } from "../../shared/errors";
import type { WeightType } from "../../shared/quantise";

/** What the engine host tells a quantising process to do, once. */
export type WorkerTask =
  | { kind: "plan"; path: string; types: readonly WeightType[] }
  /** `target` is a name in the process's working directory. */
  | { kind: "quantise"; path: string; target: string; type: WeightType; lossAccepted: boolean; threads: number }
  /** `reference` null: only whether the model computes anything sensible. */
  | { kind: "compare"; judged: string; reference: string | null; text: string; threads: number };

export interface WeightPlan extends NativeWeightSummary {
  /** Of the results, one for each type that was asked for. */
  sizes: Record<string, number>;
}

/** What each task comes to. */
export interface WorkerResults {
  plan: WeightPlan;
  quantise: null;
  compare: NativeDivergence;
}

export type WorkerAnswer =
  { ok: true; value: WorkerResults[WorkerTask["kind"]] } | { ok: false; code: ErrorCode; message: string };
