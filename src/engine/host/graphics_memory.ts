import { toEngineError } from "../../shared/errors";
import type {
  NativeActivity,
  NativeAddon,
  NativeCancellation,
  NativeDevice,
  NativeEngine,
  NativeModel,
} from "../native/addon";

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

/** What is known of one of the model's cards. */
interface CardMemory {
  /** Its place in the model's placement. */
  index: number;
  device: string;
  /** Nothing more can be given back until something is filled. */
  exhausted: boolean;
  /** Bytes that were given back for sessions, or for good: they alone are not filled again. */
  floor: number;
  /** Into so little nothing fitted the last time. */
  tooFewBytes: number;
}

/** Bytes of a card that were given back for a session. */
interface GivenMemory {
  card: CardMemory;
  bytes: number;
}

/** The graphics memory of one model: given back while it is idle or others need it, and filled again for its requests. */
export class GraphicsMemory {
  private filling: NativeCancellation | null = null;
  private isReadingCut = false;
  /** Operations during which nothing is filled. */
  private holders = 0;
  private readonly cards: readonly CardMemory[];
  /** What was given back for a session and belongs to its floor, by the session. */
  private readonly given = new WeakMap<object, readonly GivenMemory[]>();

  constructor(private readonly options: GraphicsMemoryOptions) {
    this.cards = options.model.placement.cards.map(({ device }, index) => ({
      index,
      device,
      exhausted: false,
      floor: 0,
      tooFewBytes: 0,
    }));
  }

  /** The last reading in of what the system had put away was ended before it was done. */
  get isCutShort(): boolean {
    return this.isReadingCut;
  }

  /** Belongs on the cards and is not there at present. */
  get releasedBytes(): number {
    return this.options.model.activity.releasedBytes;
  }

  /** Of that, what is filled again when requests want it. */
  get awayBytes(): number {
    const { activity } = this.options.model;
    return this.cards.reduce((sum, card) => sum + Math.max(0, releasedOn(activity, card) - card.floor), 0);
  }

  /** Of the memory of a card that was given back, what is not filled again: sessions were given it instead, or it was given up. */
  givenUpOn(device: string): number {
    const card = this.cardOf(device);
    return card ? Math.min(card.floor, releasedOn(this.options.model.activity, card)) : 0;
  }

  /** Gives at least so much back if there is so much, of one card or of all; without a number all. Returns the bytes. */
  release(reason: string, bytes = Infinity, device?: string): Promise<number> {
    return this.holding(async () => {
      let released = 0;
      for (const card of this.cards) {
        if (device !== undefined && card.device !== device) continue;
        if (released < bytes) released += await this.giveBack(card, reason, bytes - released);
      }
      return released;
    });
  }

  /** Gives at least so much of a card back if there is so much, and does not fill it again. Returns the bytes. */
  giveUp(reason: string, bytes: number, device: string): Promise<number> {
    return this.holding(async () => {
      const card = this.cardOf(device);
      if (!card) return 0;
      const released = await this.giveBack(card, reason, bytes);
      card.floor += released;
      return released;
    });
  }

  /**
   * Runs `action`, and once more when a card refused it memory and so many bytes, or fewer, could be given back there for it:
   * on the cards that lack them, or on all where none seems to. They stay with its result until `takeBack`.
   */
  async withRoom<T extends object>(
    bytesByDevice: Readonly<Record<string, number>>,
    action: () => Promise<T>,
  ): Promise<T> {
    try {
      return await action();
    } catch (thrown) {
      if (toEngineError(thrown).code !== "OUT_OF_MEMORY") throw thrown;
      return await this.holding(async () => {
        const given: GivenMemory[] = [];
        for (const [card, wanted] of this.lacking(bytesByDevice)) {
          const bytes = await this.giveBack(card, "a session needs it", wanted);
          if (bytes > 0) given.push({ card, bytes });
        }
        if (given.length === 0) throw thrown;
        for (const { card, bytes } of given) card.floor += bytes;
        try {
          const result = await action();
          this.given.set(result, given);
          return result;
        } catch (again) {
          for (const { card, bytes } of given) card.floor = Math.max(0, card.floor - bytes);
          throw again;
        }
      });
    }
  }

  /** What `withRoom` made is gone: what was given back for it, if anything was, is filled again. */
  takeBack(result: object): void {
    for (const { card, bytes } of this.given.get(result) ?? []) card.floor = Math.max(0, card.floor - bytes);
    if (this.given.delete(result)) this.fill();
  }

  /**
   * Begins to fill what was given back, beside what the model computes meanwhile from RAM, if requests want it and others
   * have not taken it. To be called when that may have changed; a failure is only logged.
   */
  fill(): void {
    try {
      if (!this.mayFill()) return;
      const devices = this.options.engine.devices();
      const { activity } = this.options.model;
      const cards = this.cards.filter((card) => fillableBytes(card, activity, devices) > 0);
      if (cards.length > 0) void this.restore(cards);
    } catch (thrown) {
      this.logFailure(thrown);
    }
  }

  /**
   * Begins to read into RAM what is mapped from the file and was put away by the system, and to fill the upload slots, beside
   * what the model computes meanwhile. A filling under way does that, too. Ends as fillings end; a failure is only logged.
   */
  pageIn(): void {
    if (!this.filling && this.holders === 0 && this.options.isWanted()) void this.readIn();
  }

  /** Ends a filling under way; what is done by now stays. */
  stopFilling(): void {
    this.filling?.cancel();
  }

  /** Ends one that no request wants any more. The next request goes on with it. */
  stopUnwanted(): void {
    if (!this.options.isWanted()) this.stopFilling();
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

  private async giveBack(card: CardMemory, reason: string, bytes: number): Promise<number> {
    const { model, name, log, onChanged } = this.options;
    if (card.exhausted) return 0;
    const { device } = card;
    const released = await model.release(bytes === Infinity ? { device } : { bytes, device });
    card.exhausted = released < bytes;
    if (released > 0) {
      log(`${name} gives ${String(Math.round(released / mib))} MiB of graphics memory of ${device} back: ${reason}`);
      onChanged();
    }
    return released;
  }

  private mayFill(): boolean {
    if (this.filling || this.holders > 0 || !this.options.isWanted()) return false;
    const { activity } = this.options.model;
    return this.cards.some((card) => releasedOn(activity, card) > card.floor);
  }

  /** Which cards had no room for so much, with what is asked of them. */
  private lacking(bytesByDevice: Readonly<Record<string, number>>): (readonly [CardMemory, number])[] {
    const devices = this.options.engine.devices();
    const asked = this.cards
      .map((card) => [card, bytesByDevice[card.device] ?? 0] as const)
      .filter(([, wanted]) => wanted > 0);
    const lacking = asked.filter(([{ device }, wanted]) => freeOn(devices, device) < wanted + scarceBytes);
    return lacking.length > 0 ? lacking : asked;
  }

  private cardOf(device: string): CardMemory | undefined {
    return this.cards.find((card) => card.device === device);
  }

  private async restore(cards: readonly CardMemory[]): Promise<void> {
    const { addon, engine, model, onChanged } = this.options;
    const cancellation = new addon.Cancellation();
    this.filling = cancellation;
    try {
      for (const card of cards) {
        // Asked again: while another card was filled, others may have taken this one's memory.
        const bytes = cancellation.cancelled ? 0 : fillableBytes(card, model.activity, engine.devices());
        if (bytes === 0) continue;
        card.exhausted = false;
        const filled = await model.prefetch({ bytes, device: card.device, cancellation });
        card.tooFewBytes = filled === 0 && !cancellation.cancelled ? bytes : 0;
        card.floor = Math.min(card.floor, releasedOn(model.activity, card));
      }
    } catch (thrown) {
      this.logFailure(thrown);
    }
    this.filling = null;
    onChanged();
    // One that ended by itself got all that the card grants.
    if (cancellation.cancelled) this.fill();
  }

  private async readIn(): Promise<void> {
    const { addon, model } = this.options;
    const cancellation = new addon.Cancellation();
    this.filling = cancellation;
    try {
      // Of the cards' memory nothing is brought back: that is for `restore`, which looks at what they have free.
      await model.prefetch({ bytes: 0, cancellation });
    } catch (thrown) {
      this.logFailure(thrown);
    }
    this.isReadingCut = cancellation.cancelled;
    this.filling = null;
    this.fill();
  }

  private logFailure(thrown: unknown): void {
    this.options.log(`filling the graphics memory of ${this.options.name} failed: ${String(thrown)}`);
  }
}

/** Bytes that belong on the card and are not there at present. */
function releasedOn({ releasedOfCards }: NativeActivity, { index }: CardMemory): number {
  return releasedOfCards[index] ?? 0;
}

/** Bytes that are missing, or as many of them as the card has room for; 0: too few for the trouble. */
function fillableBytes(card: CardMemory, activity: NativeActivity, devices: readonly NativeDevice[]): number {
  const missing = releasedOn(activity, card) - card.floor;
  if (missing <= 0) return 0;
  const fillable = Math.min(missing, freeOn(devices, card.device) - marginBytes);
  return fillable >= Math.min(missing, leastFillBytes) && fillable > card.tooFewBytes ? fillable : 0;
}

/** Bytes; a device that is not there any more has none. */
function freeOn(devices: readonly NativeDevice[], device: string): number {
  return devices.find(({ name }) => name === device)?.memoryFree ?? 0;
}
