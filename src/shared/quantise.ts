/** Making a smaller file of a model of the user's. Sizes in bytes. */

/** What weights can be turned into, by llama.cpp's names. */
export const WEIGHT_TYPES = ["Q8_0", "Q4_K_M", "Q4_0", "IQ4_XS"] as const;

export type WeightType = (typeof WEIGHT_TYPES)[number];

/** What would become of a model as this type. */
export interface QuantiseOffer {
  type: WeightType;
  sizeBytes: number;
  /** In the models folder. */
  target: string;
  targetExists: boolean;
  /** Why it cannot be done, a sentence; else empty. */
  refusal: string;
}

/** A GGUF file of the user's and what its weights can be turned into. */
export interface QuantisePlan {
  /** ggml's name of the type that most weights have, such as `f16`; where they lose quality, most of those that do. */
  type: string;
  /** Of all parts of a split model. */
  sizeBytes: number;
  /** More than a few percent of its weights are of low precision already and would lose more: asks for `lossAccepted`. */
  losesQuality: boolean;
  offers: QuantiseOffer[];
}

export interface QuantiseParams {
  /** Absolute. */
  path: string;
  type: WeightType;
  /** The user agreed to quantise weights again that are of low precision already. */
  lossAccepted: boolean;
  /** The user agreed to replace the target. */
  replace: boolean;
  progressToken?: string;
}

export interface QuantiseProgress {
  /** The source is tried, where it fits into RAM, before the result is written and checked. */
  phase: "trying" | "quantising" | "checking";
  /** Of the phase, from 0 to 1. */
  fraction: number;
}

export interface QuantiseResult {
  /** The target, or another name beside it when that was taken or could not be replaced. */
  path: string;
  sizeBytes: number;
  /** Mean KL divergence of the source's predictions from the result's, nats per token; null: the source is too large. */
  meanKl: number | null;
  /** Share of tokens for which both predict the same one, from 0 to 1; null as above. */
  sameTop: number | null;
}
