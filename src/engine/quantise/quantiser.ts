import { statSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { isAbsolute, join } from "node:path";
import { EngineError, toEngineError } from "../../shared/errors";
import {
  WEIGHT_TYPES,
  type QuantiseOffer,
  type QuantiseParams,
  type QuantisePlan,
  type QuantiseProgress,
  type QuantiseResult,
} from "../../shared/protocol";
import { ensureRoom, freeBytesOf, writeError, type FreeBytes } from "../models/disk_space";
import { throwIfAborted } from "../unless_aborted";
import { checkText, judgeResult } from "./check_result";
import { planOf } from "./plan_quantise";
import { completeResult, partialName, removeLeftovers, removePartial } from "./result_file";
import type { RunWorker } from "./run_worker";

export interface QuantiserOptions {
  modelsDirectory: () => string;
  /** Names in the models folder that belong to the catalogue. */
  catalogueFiles: readonly string[];
  runWorker: RunWorker;
  log: (line: string) => void;
  /** Most processor threads; 0: half of the processor, so that the user and the engine can go on working. */
  threads: () => number;
  /** Gives back the memory of a model whose file is replaced; fails with `MODEL_IN_USE`. */
  unload: (path: string) => Promise<void>;
  freeBytes?: FreeBytes;
  /** Of RAM: a larger source is not compared with its result. Default: the machine's. */
  memoryBytes?: number;
}

interface Run {
  params: QuantiseParams;
  offer: QuantiseOffer;
  sourceBytes: number;
  partial: string;
  directory: string;
  signal: AbortSignal;
  onProgress: (progress: QuantiseProgress) => void;
}

const progressMs = 250;

const halfOfProcessor = Math.max(1, Math.floor(availableParallelism() / 2));

/** Turns model files of the user's into smaller ones, one at a time, in processes that it ends when nobody waits for them. */
export class Quantiser {
  private readonly closing = new AbortController();
  private running: Promise<unknown> | null = null;

  constructor(private readonly options: QuantiserOptions) {}

  /** Looks at a GGUF file. Fails with `MODEL_*`. */
  async plan(path: string, signal: AbortSignal): Promise<QuantisePlan> {
    if (typeof path !== "string" || !isAbsolute(path)) {
      throw new EngineError(
        "INVALID_ARGUMENT",
        `Expected the absolute path of a GGUF file, got ${JSON.stringify(path)}.`,
      );
    }
    const { catalogueFiles, runWorker } = this.options;
    const modelsDirectory = await this.directory();
    const task = { kind: "plan", path, types: WEIGHT_TYPES } as const;
    const weights = await runWorker(task, { signal: this.until(signal), directory: modelsDirectory });
    return planOf(path, weights, { modelsDirectory, catalogueFiles });
  }

  /** See `models/quantise` of the protocol. */
  async quantise(
    params: QuantiseParams,
    { signal, onProgress }: { signal: AbortSignal; onProgress: (progress: QuantiseProgress) => void },
  ): Promise<QuantiseResult> {
    if (this.running) {
      throw new EngineError("MODEL_IN_USE", "Another model is being quantised. Wait until that is done, or cancel it.");
    }
    const running = this.start(params, this.until(signal), onProgress);
    this.running = running;
    try {
      return await running;
    } finally {
      this.running = null;
    }
  }

  /** Removes what a host left in the models folder that ended in the middle. */
  tidy(): void {
    removeLeftovers(this.options.modelsDirectory());
  }

  /** Ends the process at work; resolves when nothing of its result is left. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.running?.catch(() => undefined);
  }

  private until(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.closing.signal]);
  }

  private async start(
    params: QuantiseParams,
    signal: AbortSignal,
    onProgress: (progress: QuantiseProgress) => void,
  ): Promise<QuantiseResult> {
    const plan = await this.plan(params.path, signal);
    const offer = agreedOffer(plan, params);
    this.tidy();
    const directory = await this.directory();
    const partial = join(directory, partialName());
    await this.ensureRoom(offer, offer.sizeBytes);
    const run: Run = { params, offer, sourceBytes: plan.sizeBytes, partial, directory, signal, onProgress };
    try {
      await this.write(run);
      const { meanKl, sameTop } = await this.check(run);
      throwIfAborted(signal);
      if (offer.targetExists) await this.options.unload(offer.target);
      await completeResult(partial, offer.target);
      const { size: sizeBytes } = await stat(offer.target);
      this.options.log(`quantised ${params.path} to ${offer.target}: mean KL divergence ${String(meanKl)}`);
      return { path: offer.target, sizeBytes, meanKl, sameTop };
    } catch (thrown) {
      await removePartial(partial);
      throw writeError(thrown, offer.target) ?? thrown;
    }
  }

  private async write({ params, offer, partial, directory, signal, onProgress }: Run): Promise<void> {
    const { path, type, lossAccepted } = params;
    // The library tells nothing, but what it has written is there to see.
    const report = () => {
      const size = statSync(partial, { throwIfNoEntry: false })?.size ?? 0;
      onProgress({ phase: "quantising", fraction: Math.min(1, size / Math.max(1, offer.sizeBytes)) });
    };
    const timer = setInterval(report, progressMs);
    try {
      const task = {
        kind: "quantise",
        path,
        target: partialName(),
        type,
        lossAccepted,
        threads: this.threads(),
      } as const;
      await this.options.runWorker(task, { signal, directory });
      report();
    } catch (thrown) {
      // The library says of a failed write only that it failed.
      const written = statSync(partial, { throwIfNoEntry: false })?.size ?? 0;
      if (toEngineError(thrown).code === "INTERNAL") await this.ensureRoom(offer, offer.sizeBytes - written);
      throw thrown;
    } finally {
      clearInterval(timer);
    }
  }

  private async check({ params, sourceBytes, partial, directory, signal, onProgress }: Run) {
    onProgress({ phase: "checking", fraction: 0 });
    const { memoryBytes = totalmem() } = this.options;
    const reference = sourceBytes <= memoryBytes ? params.path : null;
    const task = { kind: "compare", judged: partial, reference, text: checkText, threads: this.threads() } as const;
    const divergence = await this.options.runWorker(task, { signal, directory });
    judgeResult(divergence, params.type);
    onProgress({ phase: "checking", fraction: 1 });
    return divergence;
  }

  private threads(): number {
    return Math.min(this.options.threads() || halfOfProcessor, halfOfProcessor);
  }

  private ensureRoom({ target }: QuantiseOffer, bytes: number): Promise<void> {
    return ensureRoom(target, bytes, this.options.freeBytes ?? freeBytesOf);
  }

  private async directory(): Promise<string> {
    const directory = this.options.modelsDirectory();
    try {
      await mkdir(directory, { recursive: true });
    } catch (thrown) {
      throw writeError(thrown, directory) ?? thrown;
    }
    return directory;
  }
}

/** The offer for what was asked. Throws `INVALID_ARGUMENT` where the plan refuses it or the user has not agreed. */
function agreedOffer({ type: from, losesQuality, offers }: QuantisePlan, params: QuantiseParams): QuantiseOffer {
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
