import { closeSync, openSync, readSync, statSync } from "node:fs";
import { vocabularyFormats, type FimFormat } from "../completion/fim_format";

/**
 * How the engine library knows the tokens in front of the text before the cursor and of that behind it: by keys of the
 * metadata, else by these texts in the vocabulary.
 */
const known = [
  [
    "tokenizer.ggml.fim_pre_token_id",
    "tokenizer.ggml.prefix_token_id",
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
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
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
  ],
];

/**
 * Of every way to say that a model fills in, the tokens that it takes, each in all its spellings. The same ways as in
 * `completion/fim_format.ts`, which knows the loaded model; a token for the middle that the library knows decides nothing there.
 */
const ways = [known, ...vocabularyFormats.map(tokensOf)].map((tokens) =>
  tokens.map((spellings) => spellings.map(ggufString)),
);

/** The metadata is at the beginning of a file; with the largest vocabularies it takes about half of this. */
const headBytes = 32 * 2 ** 20;

const read = new Map<string, boolean>();

/** Whether a model was trained to fill in the middle of a text, by its file's metadata. Reads a file once. */
export function fillsInMiddle(path: string): boolean {
  const { size, mtimeMs } = statSync(path);
  const key = `${path}\n${String(size)}\n${String(mtimeMs)}`;
  const found = read.get(key) ?? searchHead(path, Math.min(size, headBytes));
  read.set(key, found);
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
  return ways.some((tokens) => tokens.every((spellings) => spellings.some((text) => head.includes(text))));
}

function tokensOf({ beforeSuffix, beforePrefix }: FimFormat): string[][] {
  return [...beforeSuffix, ...beforePrefix].map((token) => [token]);
}

/** A string of the format: its length in eight bytes comes first, so that a part of a longer one is not taken for it. */
function ggufString(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
}
