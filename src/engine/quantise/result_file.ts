import { readdirSync, rmSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { WeightType } from "../../shared/quantise";
import { isAlive, ownIdentity } from "../process_identity";

/** What a file's name says of its weights, and of the parts of a split model. */
const typeSuffix = /[-._ ](?:i?q\d\w*|b?f16|fp16|f32|fp32)$/i;
const partSuffix = /-\d{5}-of-\d{5}$/;

/**
 * Name of the file that `source` becomes: its own with the new type in place of the old one. Another where that is one of
 * `taken`, compared as Windows does.
 */
export function resultName(source: string, type: WeightType, taken: readonly string[]): string {
  const stem = basename(source)
    .replace(/\.gguf$/i, "")
    .replace(partSuffix, "")
    .replace(typeSuffix, "");
  const used = new Set(taken.map((name) => name.toLowerCase()));
  const names = [`${stem}-${type}.gguf`, `${stem}-own-${type}.gguf`];
  return names.find((name) => !used.has(name.toLowerCase())) ?? `${stem}-own-2-${type}.gguf`;
}

const partialPattern = /^nmos-quantising-(\d+)-(\d+)(?:-\d+)?\.part$/;

let runs = 0;

/**
 * An unfinished result: in ASCII, with the identity of the engine host that it belongs to, and another for every run, which
 * must not write into what an earlier one could not remove.
 */
export function partialName(identity = ownIdentity()): string {
  runs += 1;
  return `nmos-quantising-${identity.replace(" ", "-")}-${String(runs)}.part`;
}

/** A file that was written to since may belong to a host of another machine or container that shares the folder. */
const recentMs = 3_600_000;

/** Removes what hosts left that have ended an hour ago or earlier; what cannot be removed now is left to the next time. */
export function removeLeftovers(directory: string): void {
  for (const file of filesIn(directory)) {
    const match = partialPattern.exec(file);
    if (!match) continue;
    const identity = `${String(match[1])} ${String(match[2])}`;
    if (identity === ownIdentity() || isAlive(identity)) continue;
    const path = join(directory, file);
    try {
      if (Date.now() - statSync(path).mtimeMs >= recentMs) rmSync(path, { force: true });
    } catch {
      // On Windows its process may be ending just now.
    }
  }
}

/** Bytes of a file that may not be there, or be held by somebody: 0 then. */
export function writtenBytes(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

const mostRemovals = 20;

/** Removes a partial result that a virus scanner may hold for a moment; after two seconds that is left to the next time. */
export async function removePartial(partial: string): Promise<void> {
  for (let attempt = 1; attempt <= mostRemovals; ++attempt) {
    try {
      await rm(partial, { force: true });
      return;
    } catch {
      await delay(100);
    }
  }
}
