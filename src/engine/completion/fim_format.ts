import type { ModelHandle } from "../host/model_handle";

/** How a model was trained to fill in: its own tokens in front of the text behind the cursor, and between that and the text before it. */
export interface FimFormat {
  beforeSuffix: readonly string[];
  beforePrefix: readonly string[];
}

/**
 * Families that are known by their vocabulary, and whose training has the text behind the cursor first: Seed-Coder, and
 * Codestral, which has no token for the middle. The metadata may name their tokens, too, but not the order.
 */
export const vocabularyFormats: readonly FimFormat[] = [
  { beforeSuffix: ["<[fim-suffix]>"], beforePrefix: ["<[fim-prefix]>", "<[fim-middle]>"] },
  { beforeSuffix: ["[SUFFIX]"], beforePrefix: ["[PREFIX]"] },
];

const found = new WeakMap<ModelHandle, Promise<FimFormat | null>>();

/** From the model's metadata and vocabulary, never from its name; null: it was not trained to fill in. */
export function fimFormat(model: ModelHandle): Promise<FimFormat | null> {
  const known = found.get(model) ?? find(model);
  found.set(model, known);
  return known;
}

async function find(model: ModelHandle): Promise<FimFormat | null> {
  for (const format of vocabularyFormats) {
    if (await hasTokens(model, [...format.beforeSuffix, ...format.beforePrefix])) return format;
  }
  const { fimPrefix, fimSuffix, fimMiddle } = model.info.specialTokens;
  // Qwen, StarCoder, CodeLlama, CodeGemma, DeepSeek and Granite: the text before the cursor has its place in front of that
  // behind it, and stays empty. What is behind the token for the middle is then the text that the cursor is in.
  if (fimPrefix && fimSuffix && fimMiddle) return { beforeSuffix: [fimPrefix, fimSuffix], beforePrefix: [fimMiddle] };
  if (fimPrefix && fimSuffix) return { beforeSuffix: [fimSuffix], beforePrefix: [fimPrefix] };
  return null;
}

async function hasTokens(model: ModelHandle, texts: readonly string[]): Promise<boolean> {
  for (const text of texts) {
    if ((await model.tokenize([{ text, special: true }], { addBos: false })).length !== 1) return false;
  }
  return true;
}
