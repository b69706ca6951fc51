/** Where the parts of a model lie. Memory in bytes, times in milliseconds, lengths in tokens. */
import type { KvCacheType } from "./engine_settings";

/** Where a loaded model lives and why. */
export interface Placement {
  layers: number;
  deviceLayers: number;
  /** In the order of their layers; none when there is nothing on a card. */
  cards: PlacedCard[];
  hostBytes: number;
  /** Of all cards, with the KV cache of all sessions. */
  deviceBytes: number;
  /** Of all sessions, wherever it lies. */
  kvBytes: number;
  /** What was asked for or chosen; `f16` also where the model cannot have another one. */
  kvCacheType: KvCacheType;
  /** Guessed tokens change no bit of an answer (`nmos.engine.speculation`: `exact`). */
  exactPasses: boolean;
  contextLength: number;
  /** Why there is not more of it on cards; null where they hold all of it, and without a card. */
  shortfall: PlacementShortfall | null;
  /** The reasons in words, a sentence each, for "Show Memory" and the terminal. */
  explanation: string[];
  outputOnDevice: boolean;
  /** One for each layer, first to last. */
  layerMap: LayerPlacement[];
  /** By width, ascending; empty when nothing was predicted. */
  predictedPasses: { tokens: number; milliseconds: number }[];
}

/** What the next unit of a model would take of a card, and what keeps it from there. */
export interface PlacementShortfall {
  /** ggml's name, as in `DeviceStatus`. */
  device: string;
  /** `layer`: all of one; `attention`: that of a layer; both with the KV cache. `network`: shares of feed-forward networks. */
  unit: "layer" | "attention" | "network" | "expert";
  /**
   * `card`: its free memory. `setting`: `nmos.engine.vramLimit`. `otherModel`: what others have there, or what is kept for
   * that of ghost text. `speed`: more would not make the model faster.
   */
  limit: "card" | "setting" | "otherModel" | "speed";
  /** For the first layer with the output head and the compute buffers. */
  neededBytes: number;
  /** Of what the model may use of the card. */
  freeBytes: number;
}

/** What of a model is on one card. */
export interface PlacedCard {
  /** ggml's name, as in `DeviceStatus`. */
  device: string;
  /** The first of its consecutive layers, counted from 0; the output head is on the last card. */
  firstLayer: number;
  /** Whose attention and KV cache it holds. */
  layers: number;
  /** Weights, KV cache of all sessions, compute buffers and upload slots, without what was given back. */
  bytes: number;
  /** KV cache of all sessions. */
  kvBytes: number;
  /** Upload slots, which all models of the card share; 0: nothing is uploaded. */
  slots: number;
  /** Of one slot. */
  slotBytes: number;
}

export interface LayerPlacement {
  /** Whether a card holds the attention and the KV cache. */
  attentionOnDevice: boolean;
  /** Which one; null: they are in RAM. */
  card: string | null;
  /**
   * Shares of the layer's feed-forward network or experts, which add up to 1 (all 0 when there is none). `device`: stays
   * in VRAM. `uploaded`: brought through upload slots in every pass. `host`: computed by the processor from RAM; wide
   * passes upload it, too.
   */
  network: { device: number; uploaded: number; host: number };
}
