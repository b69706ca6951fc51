import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { EngineError } from "../../src/shared/errors";

/** The environment variable that names a recorded session. */
export const traceVariable = "NMOS_BENCH_TRACE";

/** What the recorded session is taken for. */
export const tracedFile = { path: "src/component.svelte", languageId: "svelte" } as const;

/** Milliseconds; nobody waits longer for a replay. */
export const longestPause = 4000;

/** One edit of a recorded session: text put in the place of other text, at a moment in milliseconds. */
export interface TraceEdit {
  at: number;
  position: number;
  deleted: number;
  inserted: string;
}

/** A recorded session in the format of josephg/editing-traces. */
export interface Trace {
  startContent: string;
  txns: { time: string; patches: [position: number, deleted: number, inserted: string][] }[];
}

export function tracePath(): string {
  const path = process.env[traceVariable];
  if (path === undefined || !existsSync(path)) {
    throw new EngineError(
      "INVALID_ARGUMENT",
      `Expected ${traceVariable} to name a recorded session in the format of josephg/editing-traces, got ${String(path)}.`,
    );
  }
  return path;
}

export function readTrace(path: string): Trace {
  const bytes = readFileSync(path);
  const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  return JSON.parse(text) as Trace;
}

/**
 * The edits with moments that tell of the typing. The recording knows seconds only: the edits of one are spread evenly over
 * it. A pause longer than `longestPause` milliseconds is cut to that.
 */
export function timedEdits({ txns }: Pick<Trace, "txns">, longestPause: number): TraceEdit[] {
  const seconds = new Map<number, typeof txns>();
  for (const txn of txns) {
    const second = Date.parse(txn.time);
    seconds.set(second, [...(seconds.get(second) ?? []), txn]);
  }
  const edits: TraceEdit[] = [];
  let before = -Infinity;
  let at = 0;
  for (const [second, some] of seconds) {
    for (const [index, { patches }] of some.entries()) {
      const moment = second + (1000 * index) / some.length;
      if (Number.isFinite(before)) at += Math.min(Math.max(0, moment - before), longestPause);
      before = moment;
      for (const [position, deleted, inserted] of patches) edits.push({ at, position, deleted, inserted });
    }
  }
  return edits;
}

export function applyEdit(text: string, { position, deleted, inserted }: TraceEdit): string {
  return text.slice(0, position) + inserted + text.slice(position + deleted);
}

/** What is typed at the cursor from edit `from` on, until something else is done. */
export function typedFrom(edits: readonly TraceEdit[], from: number, cursor: number): string {
  let typed = "";
  for (const { position, deleted, inserted } of edits.slice(from)) {
    if (deleted > 0 || position !== cursor + typed.length) break;
    typed += inserted;
  }
  return typed;
}
