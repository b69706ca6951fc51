import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { EngineError } from "../../shared/errors";
import {
  WEIGHT_TYPES,
  type QuantiseOffer,
  type QuantiseParams,
  type QuantisePlan,
  type WeightType,
} from "../../shared/quantise";
import { formatMebibytes } from "../models/disk_space";
import { resultName } from "./result_file";
import type { WeightPlan } from "./worker_task";

export interface PlanPlace {
  modelsDirectory: string;
  /** Names that belong to models of the catalogue. */
  catalogueFiles: readonly string[];
}

/** What a model of these weights can be turned into, and where that would lie. */
export function planOf(path: string, weights: WeightPlan, place: PlanPlace): QuantisePlan {
  const { type, lowPrecision, fileBytes } = weights;
  return {
    type,
    sizeBytes: fileBytes,
    losesQuality: lowPrecision,
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

/** Share of the weights that makes a model one of their type; the others are small tensors that every type leaves alone. */
const nearlyAll = 0.95;

function refusalOf(type: WeightType, sizeBytes: number, weights: WeightPlan): string {
  const { type: from, typeShare, fileBytes } = weights;
  if (from === type.toLowerCase() && typeShare >= nearlyAll) return `The model is ${type} already.`;
  if (sizeBytes < fileBytes * leastGain) return "";
  return `As ${type} the model would take ${formatMebibytes(sizeBytes)}, and it takes ${formatMebibytes(fileBytes)} now.`;
}

/** The offer for what was asked. Throws `INVALID_ARGUMENT` where the plan refuses it or the user has not agreed. */
export function agreedOffer({ type: from, losesQuality, offers }: QuantisePlan, params: QuantiseParams): QuantiseOffer {
  const offer = offers.find(({ type }) => type === params.type);
  if (!offer) {
    throw new EngineError(
      "INVALID_ARGUMENT",
      `Expected one of ${WEIGHT_TYPES.join(", ")} as the type, got ${JSON.stringify(params.type)}.`,
    );
  }
  const refusal =
    offer.refusal ||
    (losesQuality && !params.lossAccepted
      ? `The weights of ${params.path} are ${from} already, and re-quantising loses quality. Take the model as F16, BF16, F32 or Q8_0, or agree to the loss.`
      : "") ||
    (offer.targetExists && !params.replace
      ? `${offer.target} exists already. Agree to replace it, or remove it first.`
      : "");
  if (refusal !== "") throw new EngineError("INVALID_ARGUMENT", refusal);
  return offer;
}
