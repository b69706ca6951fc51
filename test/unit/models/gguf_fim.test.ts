import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fimFormat, vocabularyFormats } from "../../../src/engine/completion/fim_format";
import { fillsInMiddle } from "../../../src/engine/models/gguf_fim";
import type { PromptPart } from "../../../src/engine/native/addon";
import { FakeModelHandle, fakeModelInfo } from "../support/fake_model_handle";
import { temporaryDirectories } from "./temporary_directory";

const directory = temporaryDirectories();

/** What the engine library finds in the vocabulary by itself. */
const foundByName = { fimPrefix: "<fim_prefix>", fimSuffix: "<fim_suffix>", fimMiddle: "<fim_middle>" };

/** A file of a model with these tokens beside others. */
function fileWith(vocabulary: readonly string[]): string {
  const strings = [...vocabulary, "the", "<fim", "["].map((text) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
    return Buffer.concat([length, Buffer.from(text)]);
  });
  const path = join(directory(), "model.gguf");
  writeFileSync(path, Buffer.concat([Buffer.from("GGUF"), ...strings]));
  return path;
}

/** The same model, loaded. */
class Loaded extends FakeModelHandle {
  constructor(private readonly vocabulary: readonly string[]) {
    const found = Object.entries(foundByName).filter(([, token]) => vocabulary.includes(token));
    super(fakeModelInfo(null, Object.fromEntries(found)), 4096);
  }

  override tokenize(parts: PromptPart[], options?: { addBos?: boolean }): Promise<Int32Array> {
    const [{ text } = { text: "" }] = parts;
    return this.vocabulary.includes(text) ? Promise.resolve(Int32Array.of(7)) : super.tokenize(parts, options);
  }
}

function subsets(tokens: readonly string[]): string[][] {
  const [first, ...others] = tokens;
  if (first === undefined) return [[]];
  return subsets(others).flatMap((subset) => [subset, [first, ...subset]]);
}

const families = [
  Object.values(foundByName),
  ...vocabularyFormats.map(({ beforeSuffix, beforePrefix }) => [...beforeSuffix, ...beforePrefix]),
];

describe("whether a model fills in", () => {
  it.each(families.flatMap(subsets).map((vocabulary) => [vocabulary.join(" "), vocabulary] as const))(
    "is the same by the file and by the loaded model: [%s]",
    async (_, vocabulary) => {
      expect(fillsInMiddle(fileWith(vocabulary))).toBe((await fimFormat(new Loaded(vocabulary))) !== null);
    },
  );

  it.each(families.map((family) => [family.join(" "), family] as const))("is so with [%s]", (_, family) => {
    expect(fillsInMiddle(fileWith(family))).toBe(true);
  });
});
