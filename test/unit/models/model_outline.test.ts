import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { catalogue, type CatalogueEntry } from "../../../src/engine/models/catalogue";
import { dataBytes, outlineOf, writeOutline } from "../../../src/engine/models/model_outline";
import { shapeOf, tensorsOf } from "../../../src/engine/models/model_shapes";
import { temporaryDirectories } from "./temporary_directory";

const directory = temporaryDirectories();

/** Of the files of Qwen's models, all of which have the same vocabulary; names of layers take the rest. */
const qwenHeader = { least: 5_945_000, most: 5_970_000 };
const smolHeader = { least: 1_785_664, most: 1_785_664 };

function entryOf(id: string): CatalogueEntry {
  const entry = catalogue.find((one) => one.id === id);
  if (!entry) throw new Error(`no ${id}`);
  return entry;
}

describe("the weights that the shape of a model of the catalogue says", () => {
  it.each(catalogue)("$id: are as large as those of its file", (entry) => {
    const shape = shapeOf(entry);
    expect(shape).toBeDefined();
    const header = entry.sizeBytes - dataBytes(shape ? tensorsOf(shape) : []);
    const { least, most } = entry.id.startsWith("qwen") ? qwenHeader : smolHeader;
    expect(header).toBeGreaterThanOrEqual(least);
    expect(header).toBeLessThanOrEqual(most);
  });

  it.each(catalogue)("$id: have names of their own", (entry) => {
    const shape = shapeOf(entry);
    const names = shape ? tensorsOf(shape).map(({ name }) => name) : [];
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => name.endsWith("ffn_down.weight"))).toHaveLength(shape?.layers ?? 0);
  });
});

it("layers get more bits as in the models' files", () => {
  const shape = shapeOf(entryOf("qwen2.5-coder-1.5b"));
  const types = (shape ? tensorsOf(shape) : []).flatMap(({ name, type }) =>
    name.endsWith("ffn_down.weight") ? type.slice(1, 2) : [],
  );
  // As read from the file of this model.
  expect(types.join("")).toBe("6664464464464464464464466666");
});

describe("an outline", () => {
  const entry = entryOf("qwen2.5-coder-7b");

  it("is a small file, written once", () => {
    const folder = join(directory(), "cache");
    const path = writeOutline(entry, folder) ?? "";
    const written = statSync(path);
    expect(written.size).toBeLessThan(100_000);
    expect(written.size % 32).toBe(0);
    expect(readFileSync(path).subarray(0, 4).toString()).toBe("GGUF");
    expect(writeOutline(entry, folder)).toBe(path);
    expect(statSync(path).mtimeMs).toBe(written.mtimeMs);
  });

  it("replaces one of an earlier version", () => {
    const folder = directory();
    const path = writeOutline(entry, folder) ?? "";
    writeFileSync(path, "GGUF of another time");
    writeOutline(entry, folder);
    expect(readFileSync(path).equals(outlineOf(entry) ?? Buffer.alloc(0))).toBe(true);
  });

  it("is none of a model without a shape", () => {
    const folder = join(directory(), "cache");
    const unknown = { ...entry, id: "unknown" };
    expect(outlineOf(unknown)).toBeNull();
    expect(writeOutline(unknown, folder)).toBeNull();
    expect(existsSync(folder)).toBe(false);
  });
});
