import { toEngineError } from "../../shared/errors";
import type { NativeAddon, NativeCancellation, NativeDevice, NativeEngine, NativeModel } from "../native/addon";

export interface GraphicsMemoryOptions {
  addon: NativeAddon;
  engine: NativeEngine;
  model: NativeModel;
  /** For the log. */
  name: string;
  /** Whether requests are there that filling would serve. */
  isWanted: () => boolean;
  log: (line: string) => void;
  /** Called after memory was given back or filled again. */
  onChanged: () => void;
}

const mib = 2 ** 20;

/** With less than this free on a card, other programs get no memory there, or it is swapped out, which is far slower. */
const scarceBytes = 128 * mib;

/**
 * What is left free on a card, here as when a model is placed. Far above what is scarce, or a model would give its memory
 * back and take it again all the time.
 */
const marginBytes = 384 * mib;

/** Less than this is not filled, unless it is all there is: every time the weights are read through. */
const leastFillBytes = 64 * mib;

/** Bytes that a card lacks; 0 while there is enough. */
export function missingBytes({ memoryFree, memoryBeyond }: Pick<NativeDevice, "memoryFree" | "memoryBeyond">): number {
  return memoryFree < scarceBytes ? marginBytes - memoryFree + memoryBeyond : 0;
}

/** The graphics memory of one model: given back while it is idle or others need it, and filled again for its requests. */
export class GraphicsMemory {
  private filling: NativeCancellation | null = null;
  /** Operations during which nothing is filled. */
  private holders = 0;
  /** Nothing more can be given back until something is filled. */
  private exhausted = false;
  /** Bytes that were given back for sessions, or for good: they alone are not filled again. */
  private floor = 0;
  /** Into so little nothing fitted the last time. */
  private tooFewBytes = 0;

  constructor(private readonly options: GraphicsMemoryOptions) {}

  /** Belongs on the card and is not there at present. */
  get releasedBytes(): number {
    return this.options.model.activity.releasedBytes;
  }

  /** Of those, what sessions were given instead, or what was given up. */
  get givenUpBytes(): number {
    return Math.min(this.floor, this.releasedBytes);
  }

  /** Gives at least so much back if there is so much; without a number all. Returns the bytes. */
  release(reason: string, bytes?: number): Promise<number> {
    return this.holding(() => this.giveBack(reason, bytes));
  }

  /** Gives at least so much back if there is so much, and does not fill it again. Returns the bytes. */
  giveUp(reason: string, bytes: number): Promise<number> {
    return this.holding(async () => {
      const released = await this.giveBack(reason, bytes);
      this.floor += released;
      return released;
    });
  }

  /** Runs `action`, and once more when the card refused it memory and so many bytes, or fewer, could be given back for it. */
  async withRoom<T>(bytes: number, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (thrown) {
      if (toEngineError(thrown).code !== "OUT_OF_MEMORY") throw thrown;
      return await this.holding(async () => {
        const released = await this.giveBack("a session needs it", bytes);
        if (released === 0) throw thrown;
        this.floor += released;
        try {
          return await action();
        } catch (again) {
          this.floor -= released;
          throw again;
        }
      });
    }
  }

  /**
   * Begins to fill what was given back, beside what the model computes meanwhile from RAM, if requests want it and others
   * have not taken it. To be called when that may have changed; a failure is only logged.
   */
  fill(): void {
    try {
      const bytes = this.mayFill() ? this.fillableBytes() : 0;
      if (bytes > 0) void this.restore(bytes);
    } catch (thrown) {
      this.logFailure(thrown);
    }
  }

  /** Ends a filling under way; what is done by now stays. */
  stopFilling(): void {
    this.filling?.cancel();
  }

  /** Runs `action` while nothing is filled. A request that came meanwhile has it filled afterwards. */
  private async holding<T>(action: () => Promise<T>): Promise<T> {
    this.holders += 1;
    this.stopFilling();
    try {
      return await action();
    } finally {
      this.holders -= 1;
      this.fill();
    }
  }

  private async giveBack(reason: string, bytes?: number): Promise<number> {
    const { model, name, log, onChanged } = this.options;
    if (this.exhausted) return 0;
    const released = await model.release(bytes === undefined ? {} : { bytes });
    this.exhausted = bytes === undefined || released < bytes;
    if (released > 0) {
      log(`${name} gives ${String(Math.round(released / mib))} MiB of graphics memory back: ${reason}`);
      onChanged();
    }
    return released;
  }

  private mayFill(): boolean {
    if (this.filling || this.holders > 0 || !this.options.isWanted()) return false;
    return this.releasedBytes > this.floor;
  }

  /** What is missing, or as much of it as the card has room for; 0: too little for the trouble. */
  private fillableBytes(): number {
    const { engine, model } = this.options;
    const card = engine.devices().find(({ name }) => name === model.placement.device);
    const missing = this.releasedBytes - this.floor;
    const fillable = Math.min(missing, (card?.memoryFree ?? 0) - marginBytes);
    return fillable >= Math.min(missing, leastFillBytes) && fillable > this.tooFewBytes ? fillable : 0;
  }

  private async restore(bytes: number): Promise<void> {
    const { addon, model, onChanged } = this.options;
    const cancellation = new addon.Cancellation();
    this.filling = cancellation;
    this.exhausted = false;
    try {
      const filled = await model.prefetch({ bytes, cancellation });
      this.tooFewBytes = filled === 0 && !cancellation.cancelled ? bytes : 0;
      this.floor = Math.min(this.floor, this.releasedBytes);
    } catch (thrown) {
      this.logFailure(thrown);
    }
    this.filling = null;
    onChanged();
    // One that ended by itself got all that the card grants.
    if (cancellation.cancelled) this.fill();
  }

  private logFailure(thrown: unknown): void {
    this.options.log(`filling the graphics memory of ${this.options.name} failed: ${String(thrown)}`);
  }
}
