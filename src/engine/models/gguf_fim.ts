import { closeSync, openSync, readSync, statSync } from "node:fs";

/**
 * How the tokens for text before the cursor, behind it and in the middle are known: by keys of the metadata, else by these
 * texts in the vocabulary.
 */
const signs = [
  [
    "tokenizer.ggml.fim_pre_token_id",
    "tokenizer.ggml.prefix_token_id",
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<[fim-prefix]>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
  ],
  [
    "tokenizer.ggml.fim_suf_token_id",
    "tokenizer.ggml.suffix_token_id",
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<[fim-suffix]>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
  ],
  [
    "tokenizer.ggml.fim_mid_token_id",
    "tokenizer.ggml.middle_token_id",
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<[fim-middle]>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
  ],
].map((texts) => texts.map(ggufString));

/** The metadata is at the beginning of a file; with the largest vocabularies it takes about half of this. */
const headBytes = 32 * 2 ** 20;

const known = new Map<string, boolean>();

/** Whether a model was trained to fill in the middle of a text, by its file's metadata. Reads a file once. */
export function fillsInMiddle(path: string): boolean {
  const { size, mtimeMs } = statSync(path);
  const key = `${path}\n${String(size)}\n${String(mtimeMs)}`;
  const found = known.get(key) ?? searchHead(path, Math.min(size, headBytes));
  known.set(key, found);
  return found;
}

function searchHead(path: string, length: number): boolean {
  const head = Buffer.alloc(length);
  const file = openSync(path, "r");
  try {
    readSync(file, head, 0, length, 0);
  } finally {
    closeSync(file);
  }
  return signs.every((texts) => texts.some((text) => head.includes(text)));
}

/** A string of the format: its length in eight bytes comes first, so that a part of a longer one is not taken for it. */
function ggufString(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
}
