/** Environment of a host whose addon is replaced by the probe. */
export const probeVariables = {
  /** The real addon. */
  addon: "NMOS_BENCH_ADDON",
  /** File that gets a line of JSON, a ProbedGeneration, for each generation. */
  events: "NMOS_BENCH_EVENTS",
} as const;

/** Moments are in milliseconds of the clock that all processes share. */
export interface ProbedGeneration {
  /** Just before the engine host called the addon. */
  calledAt: number;
  /** As the compute thread itself measured them. */
  queuedMs: number;
  prefillMs: number;
  decodeMs: number;
  /** When the host's main thread got each piece of text. */
  textsAt: number[];
}

export function parseEvents(lines: string): ProbedGeneration[] {
  return lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as ProbedGeneration);
}

/**
 * When the compute thread had the first token's logits, not later than it handed its text out: what comes before
 * is measured by the compute thread, from the moment it was called on. Choosing the token and reading the options of the
 * call come on top, so a delay counted from here is a little too long, never too short.
 */
export function firstTokenAt({ calledAt, queuedMs, prefillMs }: ProbedGeneration): number {
  return calledAt + queuedMs + prefillMs;
}

/** Delays of the pieces of text that both sides saw, in order; none when one side missed one. */
export function deliveryDelays(sentAt: readonly number[], receivedAt: readonly number[]): number[] {
  if (sentAt.length !== receivedAt.length) return [];
  return receivedAt.map((moment, index) => moment - (sentAt[index] ?? Number.NaN));
}
