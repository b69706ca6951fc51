import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CatalogueEntry } from "./catalogue";
import { shapeOf, tensorBytes, tensorsOf, weightTypes, type ModelShape, type Tensor } from "./model_shapes";

/**
 * An outline is the header of a model's GGUF file without the vocabulary, and says in a field of its own how large the file
 * is: some ten KB from which the planner knows all that it asks of a model (native/core/plan/model_outline.h). Nothing can
 * be loaded from one.
 */

/** Of the tensors' places in a file, and of the end of its header; GGUF's default. */
const alignment = 32;

/** Version of the format. */
const ggufVersion = 3;

/** Of values in the metadata, as GGUF numbers them. */
const types = { u32: 4, text: 8, u64: 10 } as const;

/** Null for a model whose shape is not known. */
export function outlineOf(entry: CatalogueEntry): Buffer | null {
  const shape = shapeOf(entry);
  if (!shape) return null;
  const tensors = tensorsOf(shape);
  const values = valuesOf(entry, shape);
  const header = Buffer.concat([
    Buffer.from("GGUF"),
    u32(ggufVersion),
    u64(tensors.length),
    u64(values.length),
    ...values,
    ...placesOf(tensors),
  ]);
  return Buffer.concat([header, Buffer.alloc(aligned(header.length) - header.length)]);
}

/**
 * Path of the file with a model's outline, which is written where it is not there yet or another one; null for a model whose
 * shape is not known. Throws the system's errors.
 */
export function writeOutline(entry: CatalogueEntry, directory: string): string | null {
  const outline = outlineOf(entry);
  if (!outline) return null;
  const path = join(directory, `${entry.id}.outline`);
  if (contentOf(path)?.equals(outline)) return path;
  mkdirSync(directory, { recursive: true });
  writeFileSync(path, outline);
  return path;
}

/** Bytes that the data of tensors take in a file. */
export function dataBytes(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, tensor) => sum + aligned(tensorBytes(tensor)), 0);
}

function valuesOf({ name, contextLength, sizeBytes }: CatalogueEntry, shape: ModelShape): Buffer[] {
  const { architecture, layers, embedding, feedForward, heads, kvHeads } = shape;
  const own = {
    block_count: layers,
    context_length: contextLength,
    embedding_length: embedding,
    feed_forward_length: feedForward,
    "attention.head_count": heads,
    "attention.head_count_kv": kvHeads,
  };
  const value = (key: string, type: number, content: Buffer) => Buffer.concat([text(key), u32(type), content]);
  return [
    value("general.architecture", types.text, text(architecture)),
    value("general.name", types.text, text(name)),
    ...Object.entries(own).map(([key, number]) => value(`${architecture}.${key}`, types.u32, u32(number))),
    value("nmos.outline.file_bytes", types.u64, u64(sizeBytes)),
  ];
}

function placesOf(tensors: readonly Tensor[]): Buffer[] {
  let offset = 0;
  return tensors.map((tensor) => {
    const { name, dimensions, type } = tensor;
    const place = [text(name), u32(dimensions.length), ...dimensions.map(u64), u32(weightTypes[type].id), u64(offset)];
    offset += aligned(tensorBytes(tensor));
    return Buffer.concat(place);
  });
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** Null when there is no such file. */
function contentOf(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}
