import { mkdir } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { basename, isAbsolute, join } from "node:path";
import { EngineError, toEngineError } from "../../shared/errors";
import {
  WEIGHT_TYPES,
  type QuantiseOffer,
  type QuantiseParams,
  type QuantisePlan,
  type QuantiseProgress,
  type QuantiseResult,
} from "../../shared/quantise";
import { ensureRoom, freeBytesOf, writeError, type FreeBytes } from "../models/disk_space";
import { renamePatiently, syncPatiently } from "../models/held_file";
import { throwIfAborted } from "../unless_aborted";
import { checkText, judgeResult, judgeSource } from "./check_result";
import { agreedOffer, planOf } from "./plan_quantise";
import { ensureNameable, keptName, placeBeside } from "./place_result";
import { partialName, removeLeftovers, removePartial, writtenBytes } from "./result_file";
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
  /** The source where the result is compared with it; null: it is too large. */
  reference: string | null;
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
    return this.planIn(await this.directory(), path, this.until(signal));
  }

  private async planIn(modelsDirectory: string, path: string, signal: AbortSignal): Promise<QuantisePlan> {
    if (typeof path !== "string" || !isAbsolute(path)) {
      throw new EngineError(
        "INVALID_ARGUMENT",
        `Expected the absolute path of a GGUF file, got ${JSON.stringify(path)}.`,
      );
    }
    const { catalogueFiles, runWorker } = this.options;
    const task = { kind: "plan", path, types: WEIGHT_TYPES } as const;
    const weights = await runWorker(task, { signal, directory: modelsDirectory });
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

  get isRunning(): boolean {
    return this.running !== null;
  }

  /** Ends the process at work; resolves when nothing unfinished of its result is left. */
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
    const directory = await this.directory();
    const plan = await this.planIn(directory, params.path, signal);
    const offer = agreedOffer(plan, params);
    removeLeftovers(directory);
    await this.prepare(params, offer);
    const { memoryBytes = totalmem() } = this.options;
    const reference = plan.sizeBytes <= memoryBytes ? params.path : null;
    const partial = join(directory, partialName());
    const run: Run = { params, offer, reference, partial, directory, signal, onProgress };
    await this.trySource(run);
    await this.write(run);
    return this.finish(run);
  }

  /** What would fail at the end fails now. */
  private async prepare({ replace }: QuantiseParams, offer: QuantiseOffer): Promise<void> {
    await this.ensureRoom(offer, offer.sizeBytes);
    try {
      await ensureNameable(offer.target);
    } catch (thrown) {
      throw writeError(thrown, offer.target) ?? thrown;
    }
    if (replace) await this.options.unload(offer.target);
  }

  /** A source that cannot be computed is told before the work is done. */
  private async trySource({ reference, directory, signal, onProgress }: Run): Promise<void> {
    if (reference === null) return;
    onProgress({ phase: "trying", fraction: 0 });
    const threads = this.threads();
    const task = { kind: "compare", judged: reference, reference: null, text: checkText, threads } as const;
    judgeSource(await this.options.runWorker(task, { signal, directory }), reference);
  }

  /** Leaves nothing when it fails. */
  private async write({ params, offer, partial, directory, signal, onProgress }: Run): Promise<void> {
    const { path, type, lossAccepted } = params;
    // The library tells nothing, but what it has written is there to see.
    const report = () => {
      const fraction = Math.min(1, writtenBytes(partial) / Math.max(1, offer.sizeBytes));
      onProgress({ phase: "quantising", fraction });
    };
    const timer = setInterval(report, progressMs);
    try {
      const target = basename(partial);
      const task = { kind: "quantise", path, target, type, lossAccepted, threads: this.threads() } as const;
      await this.options.runWorker(task, { signal, directory });
      report();
    } catch (thrown) {
      throw await this.writeFailure(thrown, offer, partial);
    } finally {
      clearInterval(timer);
    }
  }

  /** What a failed write failed of. The library says only that it did: the room is looked at while the bytes are there. */
  private async writeFailure(thrown: unknown, offer: QuantiseOffer, partial: string): Promise<unknown> {
    try {
      const missing = offer.sizeBytes - writtenBytes(partial);
      if (toEngineError(thrown).code === "INTERNAL") await this.ensureRoom(offer, missing);
      return writeError(thrown, offer.target) ?? thrown;
    } catch (noRoom) {
      return noRoom;
    } finally {
      await removePartial(partial);
    }
  }

  /** Checks what was written and gives it its name. Only what is of no use, or not wanted any more, is removed. */
  private async finish(run: Run): Promise<QuantiseResult> {
    const { params, partial, signal } = run;
    let isChecked = false;
    try {
      await syncPatiently(partial);
      const { meanKl, sameTop } = await this.check(run);
      isChecked = true;
      throwIfAborted(signal);
      const sizeBytes = writtenBytes(partial);
      const path = await this.place(run);
      this.options.log(`quantised ${params.path} to ${path}: mean KL divergence ${String(meanKl)}`);
      return { path, sizeBytes, meanKl, sameTop };
    } catch (thrown) {
      const { code } = toEngineError(thrown);
      if (code !== "QUALITY_TOO_LOW" && code !== "CANCELLED") throw await keep(run, thrown, isChecked);
      await removePartial(partial);
      throw thrown;
    }
  }

  private async check({ params, reference, partial, directory, signal, onProgress }: Run) {
    onProgress({ phase: "checking", fraction: 0 });
    const task = { kind: "compare", judged: partial, reference, text: checkText, threads: this.threads() } as const;
    const divergence = await this.options.runWorker(task, { signal, directory });
    judgeResult(divergence, params.type);
    onProgress({ phase: "checking", fraction: 1 });
    return divergence;
  }

  /** What cannot be replaced now stays, and the result gets a name of its own. */
  private async place({ params, offer: { target }, partial }: Run): Promise<string> {
    if (!params.replace) return placeBeside(partial, target);
    try {
      await this.options.unload(target);
      await renamePatiently(partial, target);
      return target;
    } catch (thrown) {
      this.options.log(`${target} cannot be replaced now: ${toEngineError(thrown).message}`);
      return placeBeside(partial, target);
    }
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

/** The error for a result that is complete, but was not checked or has no name: hours of work are not thrown away. */
async function keep({ partial, offer }: Run, thrown: unknown, isChecked: boolean): Promise<EngineError> {
  const path = await placeBeside(partial, keptName(offer.target)).catch(() => partial);
  const { code, message } = toEngineError(writeError(thrown, offer.target) ?? thrown);
  const state = isChecked
    ? "The result is complete and was checked"
    : "The result is complete, but could not be checked";
  return new EngineError(
    code,
    `${message} ${state}. It was kept as ${path}. Give it a name that ends in .gguf to use it, or remove it.`,
    { cause: thrown },
  );
}
