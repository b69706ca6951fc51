import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { WEIGHT_TYPES, type QuantiseOffer, type QuantisePlan, type WeightType } from "../../shared/protocol";
import { formatMebibytes } from "../models/disk_space";
import { resultName } from "./result_file";
import type { WeightPlan } from "./worker_task";

/** What can be quantised without losing more than the type says. */
const precise = new Set(["f32", "f16", "bf16", "q8_0"]);

export interface PlanPlace {
  modelsDirectory: string;
  /** Names that belong to models of the catalogue. */
  catalogueFiles: readonly string[];
}

/** What a model of these weights can be turned into, and where that would lie. */
export function planOf(path: string, weights: WeightPlan, place: PlanPlace): QuantisePlan {
  const { type, fileBytes } = weights;
  return {
    type,
    sizeBytes: fileBytes,
    losesQuality: !precise.has(type),
    offers: WEIGHT_TYPES.map((to) => offerOf(path, to, weights, place)),
  };
}

function offerOf(path: string, type: WeightType, weights: WeightPlan, place: PlanPlace): QuantiseOffer {
  const sizeBytes = weights.sizes[type] ?? 0;
  const target = join(place.modelsDirectory, resultName(path, type, [...place.catalogueFiles, basename(path)]));
  return { type, sizeBytes, target, targetExists: existsSync(target), refusal: refusalOf(type, sizeBytes, weights) };
}

/** A tenth of a percent less is the same: the prediction and the metadata differ by as much. */
const leastGain = 0.999;

function refusalOf(type: WeightType, sizeBytes: number, { type: from, fileBytes }: WeightPlan): string {
  if (from === type.toLowerCase()) return `The model is ${type} already.`;
  if (sizeBytes < fileBytes * leastGain) return "";
  return `As ${type} the model would take ${formatMebibytes(sizeBytes)}, and it takes ${formatMebibytes(fileBytes)} now.`;
}
