import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { partialName, removeLeftovers, resultName, writtenBytes } from "../../../src/engine/quantise/result_file";
import type { WeightType } from "../../../src/shared/quantise";
import { temporaryDirectories } from "../models/temporary_directory";

const temporaryDirectory = temporaryDirectories();

describe("the name of the result", () => {
  const check = (source: string, type: WeightType, expected: string, taken: string[] = []) => {
    test(`${source} as ${type} is ${expected}`, () => {
      expect(resultName(join("/somewhere", source), type, taken)).toBe(expected);
    });
  };
  check("Model-F16.gguf", "Q4_K_M", "Model-Q4_K_M.gguf");
  check("model.BF16.GGUF", "Q8_0", "model-Q8_0.gguf");
  check("model-fp32.gguf", "IQ4_XS", "model-IQ4_XS.gguf");
  check("model_q8_0.gguf", "Q4_0", "model-Q4_0.gguf");
  check("model-IQ2_XXS.gguf", "Q4_0", "model-Q4_0.gguf");
  check("Big-F16-00001-of-00003.gguf", "Q4_K_M", "Big-Q4_K_M.gguf");
  check("Qwen2.5-Coder.gguf", "Q4_K_M", "Qwen2.5-Coder-Q4_K_M.gguf");
  check("Grüße 世界.gguf", "Q8_0", "Grüße 世界-Q8_0.gguf");
  check("Model-F16.gguf", "Q4_K_M", "Model-own-Q4_K_M.gguf", ["model-q4_k_m.gguf"]);
  check("Model-Q4_K_M.gguf", "Q4_K_M", "Model-own-2-Q4_K_M.gguf", ["model-q4_k_m.gguf", "Model-own-Q4_K_M.gguf"]);
});

function makeOld(path: string): void {
  const then = Date.now() / 1000 - 2 * 3600;
  utimesSync(path, then, then);
}

test("of a file that cannot be looked at nothing is written", () => {
  const path = join(temporaryDirectory(), "file");
  writeFileSync(path, "GGUF");
  expect([writtenBytes(path), writtenBytes(`${path}s`), writtenBytes(join(path, "below"))]).toEqual([4, 0, 0]);
});

describe("leftovers", () => {
  test("of hosts that have ended are removed, and nothing else", () => {
    const directory = temporaryDirectory();
    // No process has this id: Linux and macOS have fewer, and Windows' are divisible by four.
    const dead = partialName("4194307 12345");
    const kept = [partialName(), "nmos-quantising-x.part", "model.gguf", "model.gguf.part", "model.gguf.part.json"];
    for (const file of [dead, ...kept]) writeFileSync(join(directory, file), "GGUF");
    for (const file of [dead, ...kept]) makeOld(join(directory, file));
    removeLeftovers(directory);
    expect(existsSync(join(directory, dead))).toBe(false);
    for (const file of kept) expect(existsSync(join(directory, file)), file).toBe(true);
  });

  test("that were written to lately stay: another machine may share the folder", () => {
    const path = join(temporaryDirectory(), partialName("4194307 12345"));
    writeFileSync(path, "GGUF");
    removeLeftovers(join(path, ".."));
    expect(existsSync(path)).toBe(true);
    makeOld(path);
    removeLeftovers(join(path, ".."));
    expect(existsSync(path)).toBe(false);
  });

  test("that cannot be removed, and a folder that is not there, do not matter", () => {
    const directory = temporaryDirectory();
    const folder = join(directory, partialName("4194307 12345"));
    mkdirSync(folder);
    makeOld(folder);
    removeLeftovers(directory);
    removeLeftovers(join(directory, "nowhere"));
  });

  test("have names in ASCII", () => {
    expect(partialName("12 345")).toMatch(/^nmos-quantising-12-345-\d+\.part$/);
    expect(partialName()).toMatch(/^[\w.-]+$/);
    expect(partialName()).not.toBe(partialName());
  });
});
