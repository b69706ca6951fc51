import type { SamplingOptions } from "../shared/chat";

type Options = Readonly<Record<string, unknown>>;

function numberIn(options: Options, names: readonly string[], minimum: number, maximum: number): number | undefined {
  for (const name of names) {
    const value = options[name];
    if (typeof value === "number" && Number.isFinite(value)) return Math.min(Math.max(value, minimum), maximum);
  }
  return undefined;
}

/**
 * Reads the options that extensions pass to language models, by the names that are usual for them; unknown names and
 * values of the wrong type are ignored.
 */
export function samplingFromOptions(
  options: Options,
  longestAnswer: number,
): { maxTokens: number; sampling: SamplingOptions } {
  const temperature = numberIn(options, ["temperature"], 0, 2);
  const topP = numberIn(options, ["top_p", "topP"], 0, 1);
  const topK = numberIn(options, ["top_k", "topK"], 0, 1_000);
  const seed = numberIn(options, ["seed"], 0, 2 ** 32 - 1);
  const stop = typeof options["stop"] === "string" ? [options["stop"]] : options["stop"];
  const maxTokens = numberIn(options, ["max_tokens", "maxTokens", "max_completion_tokens"], 1, longestAnswer);
  return {
    maxTokens: Math.round(maxTokens ?? longestAnswer),
    sampling: {
      ...(temperature === undefined ? {} : { temperature }),
      ...(topP === undefined ? {} : { topP }),
      ...(topK === undefined ? {} : { topK: Math.round(topK) }),
      ...(seed === undefined ? {} : { seed: Math.round(seed) }),
      ...(Array.isArray(stop)
        ? { stop: stop.filter((text): text is string => typeof text === "string" && text !== "") }
        : {}),
    },
  };
}
