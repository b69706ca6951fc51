import type { NativeAddon, NativeCancellation, NativeEngine, NativeModel } from "../native/addon";

export interface GraphicsMemoryOptions {
  addon: NativeAddon;
  engine: NativeEngine;
  model: NativeModel;
  /** For the log. */
  name: string;
  log: (line: string) => void;
  /** Called after memory was given back or filled again. */
  onChanged: () => void;
}

const mib = 2 ** 20;

/** With less than this free on a card, other programs get no memory there, or it is swapped out, which is far slower. */
const scarceBytes = 128 * mib;

/** What is left free on a card, here as when a model is placed. */
const marginBytes = 384 * mib;

/** Bytes that a card lacks; 0 while there is enough. */
export function missingBytes(memoryFree: number): number {
  return memoryFree < scarceBytes ? marginBytes - memoryFree : 0;
}

/** The graphics memory of one model: given back while it is idle or others need it, and filled again by its next request. */
export class GraphicsMemory {
  private filling: NativeCancellation | null = null;

  constructor(private readonly options: GraphicsMemoryOptions) {}

  /** Belongs on the card and is not there at present. */
  get releasedBytes(): number {
    return this.options.model.activity.releasedBytes;
  }

  /** Gives at least so much back if there is so much; without a number all. Returns the bytes. */
  async release(reason: string, bytes?: number): Promise<number> {
    const { model, name, log, onChanged } = this.options;
    this.filling?.cancel();
    const released = await model.release(bytes === undefined ? {} : { bytes });
    if (released > 0) {
      log(`${name} gives ${String(Math.round(released / mib))} MiB of graphics memory back: ${reason}`);
      onChanged();
    }
    return released;
  }

  /** Begins to fill what was given back, beside what the model computes meanwhile from RAM, unless others have taken it. */
  fill(): void {
    const { addon, model, name, log, onChanged } = this.options;
    if (this.filling || this.releasedBytes === 0 || !this.hasRoom()) return;
    const cancellation = new addon.Cancellation();
    this.filling = cancellation;
    model
      .prefetch({ cancellation })
      .catch((thrown: unknown) => {
        log(`filling the graphics memory of ${name} failed: ${String(thrown)}`);
      })
      .finally(() => {
        this.filling = null;
        onChanged();
      });
  }

  private hasRoom(): boolean {
    const { engine, model } = this.options;
    const card = engine.devices().find(({ name }) => name === model.placement.device);
    return card !== undefined && card.memoryFree >= this.releasedBytes + scarceBytes;
  }
}
