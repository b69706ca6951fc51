import { setTimeout as delay } from "node:timers/promises";

/** Waiting times of a download; the product's own are the defaults, tests use shorter ones. */
export interface DownloadTiming {
  /** Without a byte for so long a connection counts as dead. */
  stallTimeoutMs: number;
  /** Longest pause after the first failure; doubled with every further one. */
  firstPauseMs: number;
  longestPauseMs: number;
  /** Longest pause a server may ask for. */
  longestAskedPauseMs: number;
  /** Failures without progress between them that end the download. */
  mostFailures: number;
}

export const defaultTiming: DownloadTiming = {
  stallTimeoutMs: 30_000,
  firstPauseMs: 1_000,
  longestPauseMs: 60_000,
  longestAskedPauseMs: 600_000,
  mostFailures: 8,
};

/**
 * Pause after so many failures in a row (1 is the first): exponential, half of it by chance, so that many clients do
 * not come back at the same moment; at least what the server asked for, within limits. `random` is in [0, 1).
 */
export function pauseAfter(
  failures: number,
  askedMs: number | null,
  timing: DownloadTiming,
  random: () => number = Math.random,
): number {
  const planned = Math.min(timing.longestPauseMs, timing.firstPauseMs * 2 ** (failures - 1));
  const own = planned * (0.5 + random() / 2);
  return Math.max(own, Math.min(askedMs ?? 0, timing.longestAskedPauseMs));
}

/** Counts failures since the last progress, which is a byte further than ever before. */
export class Patience {
  private furthest = 0;
  private failed = 0;

  constructor(private readonly mostFailures: number) {}

  get failures(): number {
    return this.failed;
  }

  /** A server that always breaks at the same place makes no progress, however many bytes it sends. */
  reached(position: number): void {
    if (position <= this.furthest) return;
    this.furthest = position;
    this.failed = 0;
  }

  /** True when it is over. */
  fail(): boolean {
    return ++this.failed >= this.mostFailures;
  }
}

/** Waits; rejects with an AbortError when aborted. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal });
}
