/** What the memory view and the extension say to each other. The page gets a picture in words and shares; it only draws. */

/** What a part of a bar stands for. */
export type TierPartKind = "weights" | "cache" | "slots" | "engine" | "other" | "free";

export interface TierPart {
  kind: TierPartKind;
  label: string;
  /** Such as `1,024 MiB`. */
  amount: string;
  /** Of the whole bar. */
  share: number;
}

/** The memory of one card, or RAM, as a bar. */
export interface Tier {
  title: string;
  /** Beside the title, such as `24,576 MiB`. */
  detail: string;
  /** The bar in words. */
  description: string;
  parts: TierPart[];
}

export interface NetworkShares {
  card: number;
  uploaded: number;
  processor: number;
}

/** A layer, or the output head, as a column of the picture. */
export interface LayerColumn {
  /** The number of the layer, from 1; `out` for the output head, which has no parts. */
  label: string;
  /** The column in words. */
  description: string;
  /** Attention with its KV cache, or the output head. */
  onCard: boolean;
  /** Of the feed-forward network or the experts; null where there is none. */
  network: NetworkShares | null;
}

/** Neighbouring layers that are placed alike, as a row of a table. */
export interface LayerRun {
  layers: string;
  attention: string;
  card: string;
  uploaded: string;
  processor: string;
}

export interface Fact {
  label: string;
  value: string;
}

export interface ModelPicture {
  name: string;
  /** The columns in words. */
  description: string;
  columns: LayerColumn[];
  runs: LayerRun[];
  /** File, purpose, placement and what else stays as long as the model is loaded. */
  facts: Fact[];
  /** What changes while the model works. */
  figures: Fact[];
  /** How long passes are predicted to take, by width. */
  predictions: Fact[];
  /** Why it lies where it lies, a sentence each. */
  reasons: string[];
}

export interface LoadingModel {
  label: string;
  /** Whole, from 0 to 100. */
  percent: number;
}

/** Everything the view shows. */
export interface MemoryPicture {
  /** The engine and its version, or why there is nothing to see. */
  engine: string;
  tiers: Tier[];
  loading: LoadingModel[];
  /** How many models are loaded. */
  summary: string;
  models: ModelPicture[];
}

export interface ToMemoryView {
  type: "picture";
  picture: MemoryPicture;
}

/** The page is there and can be told something. */
export interface FromMemoryView {
  type: "ready";
}

/** The message if it is one the view may send; else null. */
export function parseFromMemoryView(value: unknown): FromMemoryView | null {
  const isOne = typeof value === "object" && value !== null && "type" in value && value.type === "ready";
  return isOne ? { type: "ready" } : null;
}
