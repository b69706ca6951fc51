import type { CatalogueEntry } from "./catalogue";

/**
 * What the weights of the catalogue's models look like. From it the planner says what would become of a model before anybody
 * downloads it. The sizes that follow from it, to the byte, and those of the files differ by the vocabulary alone.
 */

export type WeightType = keyof typeof weightTypes;

/** Of ggml, by its names: the number of the type in a file, weights of a block, and bytes of that. */
export const weightTypes = {
  f32: { id: 0, weights: 1, bytes: 4 },
  q4_1: { id: 3, weights: 32, bytes: 20 },
  q5_0: { id: 6, weights: 32, bytes: 22 },
  q8_0: { id: 8, weights: 32, bytes: 34 },
  q4_K: { id: 12, weights: 256, bytes: 144 },
  q6_K: { id: 14, weights: 256, bytes: 210 },
} as const;

/** How a model was quantised: to types that not all layers share, and that depend on the widths. */
interface Quantisation {
  embedding: WeightType;
  /** Null: the embedding is the output head as well. */
  output: WeightType | null;
  /** Of the other matrices. */
  usual: WeightType;
  /** Of values and down projections, in layers as they come and in those that get more bits. */
  value: [usual: WeightType, more: WeightType];
  down: [usual: WeightType, more: WeightType];
}

export interface ModelShape {
  architecture: "llama" | "qwen2";
  layers: number;
  /** Width of the residual stream. */
  embedding: number;
  /** Width of the hidden layer. */
  feedForward: number;
  heads: number;
  kvHeads: number;
  /** Tokens. */
  vocabulary: number;
  /** Queries, keys and values have a bias each. */
  biases: boolean;
  quantisation: Quantisation;
}

export interface Tensor {
  /** As in GGUF files. */
  name: string;
  dimensions: number[];
  type: WeightType;
}

const q4km: Quantisation = {
  embedding: "q4_K",
  output: "q6_K",
  usual: "q4_K",
  value: ["q4_K", "q6_K"],
  down: ["q4_K", "q6_K"],
};

/** Rows of 896 weights are not of whole blocks of 256. */
const q4kmNarrow: Quantisation = {
  embedding: "q5_0",
  output: "q8_0",
  usual: "q5_0",
  value: ["q5_0", "q8_0"],
  down: ["q4_K", "q6_K"],
};

const q41: Quantisation = {
  embedding: "q8_0",
  output: null,
  usual: "q4_1",
  value: ["q4_1", "q4_1"],
  down: ["q4_1", "q4_1"],
};

const qwen = { architecture: "qwen2", biases: true, quantisation: q4km } as const;
const smol = { architecture: "llama", biases: false, quantisation: q41 } as const;

/** By the catalogue's id; those of https://huggingface.co/Qwen and https://huggingface.co/HuggingFaceTB (config.json). */
const shapes: Readonly<Record<string, ModelShape>> = {
  "qwen2.5-coder-0.5b": {
    ...qwen,
    layers: 24,
    embedding: 896,
    feedForward: 4864,
    heads: 14,
    kvHeads: 2,
    vocabulary: 151_936,
    quantisation: q4kmNarrow,
  },
  "qwen2.5-coder-1.5b": {
    ...qwen,
    layers: 28,
    embedding: 1536,
    feedForward: 8960,
    heads: 12,
    kvHeads: 2,
    vocabulary: 151_936,
  },
  "qwen2.5-coder-3b": {
    ...qwen,
    layers: 36,
    embedding: 2048,
    feedForward: 11_008,
    heads: 16,
    kvHeads: 2,
    vocabulary: 151_936,
  },
  "qwen2.5-coder-7b": {
    ...qwen,
    layers: 28,
    embedding: 3584,
    feedForward: 18_944,
    heads: 28,
    kvHeads: 4,
    vocabulary: 152_064,
  },
  "qwen2.5-coder-14b": {
    ...qwen,
    layers: 48,
    embedding: 5120,
    feedForward: 13_824,
    heads: 40,
    kvHeads: 8,
    vocabulary: 152_064,
  },
  "smollm2-135m": {
    ...smol,
    layers: 30,
    embedding: 576,
    feedForward: 1536,
    heads: 9,
    kvHeads: 3,
    vocabulary: 49_152,
  },
};

/** Undefined for a model that the catalogue has got without its shape. */
export function shapeOf({ id }: Pick<CatalogueEntry, "id">): ModelShape | undefined {
  return shapes[id];
}

/** All weights of a model. */
export function tensorsOf(shape: ModelShape): Tensor[] {
  const { embedding, vocabulary, quantisation } = shape;
  const { output } = quantisation;
  return [
    ...(output === null ? [] : [matrix("output.weight", embedding, vocabulary, output)]),
    matrix("token_embd.weight", embedding, vocabulary, quantisation.embedding),
    vector("output_norm.weight", embedding),
    ...Array.from({ length: shape.layers }, (_, layer) => layerOf(shape, layer)).flat(),
  ];
}

/** Bytes of its data. */
export function tensorBytes({ dimensions, type }: Tensor): number {
  const { weights, bytes } = weightTypes[type];
  return (dimensions.reduce((product, size) => product * size, 1) / weights) * bytes;
}

function layerOf(shape: ModelShape, layer: number): Tensor[] {
  const { embedding, feedForward, heads, kvHeads, biases, quantisation } = shape;
  const { usual, value, down } = quantisation;
  const which = getsMoreBits(layer, shape.layers) ? 1 : 0;
  const keys = (embedding / heads) * kvHeads;
  const name = (part: string) => `blk.${String(layer)}.${part}`;
  return [
    vector(name("attn_norm.weight"), embedding),
    vector(name("ffn_norm.weight"), embedding),
    matrix(name("attn_q.weight"), embedding, embedding, usual),
    matrix(name("attn_k.weight"), embedding, keys, usual),
    matrix(name("attn_v.weight"), embedding, keys, value[which]),
    matrix(name("attn_output.weight"), embedding, embedding, usual),
    matrix(name("ffn_gate.weight"), embedding, feedForward, usual),
    matrix(name("ffn_up.weight"), embedding, feedForward, usual),
    matrix(name("ffn_down.weight"), feedForward, embedding, down[which]),
    ...(biases
      ? [vector(name("attn_q.bias"), embedding), vector(name("attn_k.bias"), keys), vector(name("attn_v.bias"), keys)]
      : []),
  ];
}

/** As llama.cpp quantises to Q4_K_M: the first and last eighth of the layers, and every third between (use_more_bits). */
function getsMoreBits(layer: number, layers: number): boolean {
  const first = Math.floor(layers / 8);
  return layer < first || layer >= Math.floor((7 * layers) / 8) || (layer - first) % 3 === 2;
}

function matrix(name: string, columns: number, rows: number, type: WeightType): Tensor {
  return { name, dimensions: [columns, rows], type };
}

function vector(name: string, width: number): Tensor {
  return { name, dimensions: [width], type: "f32" };
}
