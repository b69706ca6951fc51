import { mkdirSync, statfsSync } from "node:fs";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ensureModel } from "../fetch_model";
import { cacheDirectory } from "./cache";
import { MissingTool } from "./missing_tool";
import { buildBenchPrograms } from "./native_build";
import { runCommand } from "./run_command";

/** The shapes that native/synthetic knows, with the bytes of their files rounded up. */
export const syntheticShapes = {
  "qwen2.5-coder-3b": 2.1e9,
  "qwen2.5-coder-7b": 4.8e9,
  "qwen2.5-coder-14b": 9.1e9,
  "qwen2.5-coder-32b": 20e9,
  "olmoe-1b-7b": 4.4e9,
  tiny: 0.07e9,
} as const;

export type SyntheticShape = keyof typeof syntheticShapes;

/** The model whose vocabulary the synthetic ones take. */
export const vocabularyOf = "qwen2.5-coder-0.5b";

/**
 * A model file with the shape and the types of a real model and random weights, written once into the cache; resolves
 * with its path. Throws MissingTool where the disk has no room for it.
 */
export async function ensureSyntheticModel(shape: SyntheticShape): Promise<string> {
  const directory = cacheDirectory("synthetic");
  const path = join(directory, `${shape}.gguf`);
  if (existsSync(path)) return path;
  mkdirSync(directory, { recursive: true });
  const { bavail, bsize } = statfsSync(directory);
  if (bavail * bsize < syntheticShapes[shape] * 1.1) {
    throw new MissingTool(`A synthetic ${shape} takes ${syntheticShapes[shape] / 1e9} GB, which ${directory} lacks.`);
  }
  const { syntheticModel } = await buildBenchPrograms();
  console.log(`Writing a synthetic ${shape} (${syntheticShapes[shape] / 1e9} GB) ...`);
  await runCommand(syntheticModel, [shape, await ensureModel(vocabularyOf), path]);
  return path;
}
