import { probabilityOf, type LogisticModel } from "../../src/engine/completion/suggestion_score";

export interface Sample {
  features: readonly number[];
  isRight: boolean;
}

/** Keeps the weights small where the samples are few. */
const ridge = 0.02;

const steps = 2000;
const stepSize = 0.5;

/**
 * The logistic model under which the samples are most probable, with a ridge penalty on the weights of standardised features
 * (le Cessie & van Houwelingen 1992), by gradient descent.
 */
export function fitLogistic(samples: readonly Sample[]): LogisticModel {
  const count = samples.length;
  const width = samples[0]?.features.length ?? 0;
  const columns = Array.from({ length: width }, (_, index) => samples.map(({ features }) => features[index] ?? 0));
  const means = columns.map((values) => values.reduce((sum, value) => sum + value, 0) / count);
  const deviations = columns.map((values, index) => {
    const squares = values.reduce((sum, value) => sum + (value - (means[index] ?? 0)) ** 2, 0);
    return Math.max(1e-6, Math.sqrt(squares / count));
  });
  const standard = samples.map(({ features, isRight }) => ({
    isRight,
    features: features.map((value, index) => (value - (means[index] ?? 0)) / (deviations[index] ?? 1)),
  }));

  let model: LogisticModel = { intercept: 0, weights: means.map(() => 0) };
  for (let step = 0; step < steps; ++step) {
    const errors = standard.map((sample) => probabilityOf(model, sample.features) - (sample.isRight ? 1 : 0));
    const gradient = (valueOf: (sample: Sample) => number) =>
      standard.reduce((sum, sample, index) => sum + (errors[index] ?? 0) * valueOf(sample), 0) / count;
    model = {
      intercept: model.intercept - stepSize * gradient(() => 1),
      weights: model.weights.map(
        (weight, index) => weight - stepSize * (gradient(({ features }) => features[index] ?? 0) + ridge * weight),
      ),
    };
  }
  const weights = model.weights.map((weight, index) => weight / (deviations[index] ?? 1));
  const shift = weights.reduce((sum, weight, index) => sum + weight * (means[index] ?? 0), 0);
  return { intercept: model.intercept - shift, weights };
}

/** Of all pairs of a right sample and a wrong one, the share in which the right one is thought more probable. */
export function toldApart(model: LogisticModel, samples: readonly Sample[]): number {
  const probabilities = (isRight: boolean) =>
    samples.filter((sample) => sample.isRight === isRight).map(({ features }) => probabilityOf(model, features));
  const wrong = probabilities(false);
  const pairs = probabilities(true).flatMap((right) =>
    wrong.map((other) => (right > other ? 1 : right === other ? 0.5 : 0)),
  );
  return pairs.reduce<number>((sum, pair) => sum + pair, 0) / Math.max(1, pairs.length);
}
