import { readdirSync, rmSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { WeightType } from "../../shared/protocol";
import { renamePatiently } from "../models/partial_file";
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

const partialPattern = /^nmos-quantising-(\d+)-(\d+)\.part$/;

/** The unfinished result: in ASCII, and with the identity of the engine host that it belongs to. */
export function partialName(identity = ownIdentity()): string {
  return `nmos-quantising-${identity.replace(" ", "-")}.part`;
}

/** Removes what hosts left that have ended; what cannot be removed now is left to the next time. */
export function removeLeftovers(directory: string): void {
  for (const file of filesIn(directory)) {
    const match = partialPattern.exec(file);
    if (!match || isAlive(`${String(match[1])} ${String(match[2])}`)) continue;
    try {
      rmSync(join(directory, file), { force: true });
    } catch {
      // On Windows its process may be ending just now.
    }
  }
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Gives a checked result its name, after its bytes have reached the disk. */
export async function completeResult(partial: string, target: string): Promise<void> {
  const file = await open(partial, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await renamePatiently(partial, target);
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
