import type { Spill } from "../../shared/engine_status";
import { placementOf, type ModelEntry } from "./model_entry";

export interface SpillReliefOptions {
  /** Has a model loaded anew as soon as nobody uses it. */
  reload: (entry: ModelEntry) => Promise<unknown>;
  /** Whether a device has memory of its own. What is in RAM anyway is slow for other reasons. */
  isCard: (device: string) => boolean;
  log: (line: string) => void;
  onChanged: () => void;
  /** In milliseconds. */
  now: () => number;
}

type Limits = Readonly<Record<string, number>>;

interface Relief {
  spill: Spill;
  /** When it was last found, in milliseconds. */
  at: number;
  /** Bytes that the model may take of single cards when it is loaded anew, by the card's name. */
  limits: Limits;
}

/** What is found within so long a time after another one is the same occasion. */
const occasionMs = 10 * 60_000;

/** Nobody knows how much of it lies in RAM: half of what a model has is more than most overcommitted cards are over. */
const givenUpShare = 0.5;

/**
 * Gives graphics memory up where the system has moved it to RAM: found by passes that suddenly take several times as long, on
 * systems or cards that do not tell what they grant. Weights that are in RAM, too, go at once; a model that lies on the card as
 * a whole is loaded anew with less of it.
 */
export class SpillRelief {
  private readonly reliefs = new Map<string, Relief>();
  private readonly underWay = new Set<ModelEntry>();
  private occasions = 0;

  constructor(private readonly options: SpillReliefOptions) {}

  /** Of a model's file: bytes by the card's name; cards that are not named have no limit. */
  limitsFor(key: string): Limits {
    return this.reliefs.get(key)?.limits ?? {};
  }

  of(key: string): Spill | null {
    return this.reliefs.get(key)?.spill ?? null;
  }

  /** What of it still holds: a model without limits may have filled some of the memory again, or all. */
  standing({ key, spill, graphics }: ModelEntry): Spill | null {
    if (!spill || Object.keys(this.limitsFor(key)).length > 0) return spill;
    const givenBackBytes = Math.min(spill.givenBackBytes, graphics.releasedBytes);
    return givenBackBytes > 0 ? { ...spill, givenBackBytes } : null;
  }

  /** The model was given back for another reason, or all of them: it begins with what the card has then. */
  forget(key?: string): void {
    if (key === undefined) this.reliefs.clear();
    else this.reliefs.delete(key);
  }

  /** Gives memory of the model up if its passes have become slow. A failure is only logged. */
  async check(entry: ModelEntry): Promise<void> {
    const { timesAsLong } = entry.handle.model.activity;
    if (!timesAsLong || entry.stale || this.underWay.has(entry)) return;
    this.underWay.add(entry);
    try {
      await this.relieve(entry, timesAsLong);
    } catch (thrown) {
      this.options.log(`giving up graphics memory of ${entry.installed.ref} failed: ${String(thrown)}`);
    } finally {
      this.underWay.delete(entry);
    }
  }

  /**
   * Has the first of these models that has memory of the card loaded anew with so many bytes less of it; none while another one
   * still has to leave it.
   */
  async shrink(entries: readonly ModelEntry[], bytes: number, device: string): Promise<void> {
    const there = entries.filter((one) => bytesOn(one, device) > 0);
    const [entry] = there;
    if (!entry || there.some(({ stale }) => stale)) return;
    const hadBytes = bytesOn(entry, device);
    const { ref } = entry.installed;
    this.options.log(`${ref} is loaded anew with less graphics memory of ${device}: the system grants no more`);
    this.note(entry, null, Math.min(bytes, hadBytes), { [device]: Math.max(0, hadBytes - bytes) });
    await this.options.reload(entry);
  }

  /** Remembers, for the user, what was given back; `timesAsLong` null: because the system grants less. */
  note(entry: ModelEntry, timesAsLong: number | null, givenBackBytes: number, limits: Limits = {}): void {
    const now = this.options.now();
    const earlier = this.reliefs.get(entry.key);
    const isSame = earlier !== undefined && now - earlier.at < occasionMs;
    const spill: Spill = {
      occasion: isSame ? earlier.spill.occasion : ++this.occasions,
      timesAsLong: timesAsLong ?? (isSame ? earlier.spill.timesAsLong : null),
      givenBackBytes: givenBackBytes + (isSame ? earlier.spill.givenBackBytes : 0),
    };
    this.reliefs.set(entry.key, { spill, at: now, limits: lowest(earlier?.limits ?? {}, limits) });
    entry.spill = spill;
    this.options.onChanged();
  }

  /** Nobody knows which of several cards it is: every one gets its part back. */
  private async relieve(entry: ModelEntry, timesAsLong: number): Promise<void> {
    const { graphics, installed } = entry;
    const cards = placementOf(entry).cards.filter(({ device, bytes }) => bytes > 0 && this.options.isCard(device));
    if (cards.length === 0) return;
    const reason = `passes take ${timesAsLong.toFixed(1)} times as long as before`;
    let released = 0;
    for (const { device, bytes } of cards)
      released += await graphics.giveUp(reason, Math.ceil(bytes * givenUpShare), device);
    if (released > 0) {
      this.note(entry, timesAsLong, released);
      return;
    }
    // All that may leave the cards has left them, a part of it for a while: without that, passes tell nothing of the plan.
    if (graphics.awayBytes > 0) return;
    this.options.log(`${installed.ref} is loaded anew with less graphics memory: ${reason}`);
    const limits = Object.fromEntries(
      cards.map(({ device, bytes }) => [device, Math.floor(bytes * (1 - givenUpShare))]),
    );
    const bytes = cards.reduce((sum, card) => sum + Math.ceil(card.bytes * givenUpShare), 0);
    this.note(entry, timesAsLong, bytes, limits);
    await this.options.reload(entry);
  }
}

function bytesOn(entry: ModelEntry, device: string): number {
  return placementOf(entry).cards.find((card) => card.device === device)?.bytes ?? 0;
}

/** Of each card the lower limit of both. */
function lowest(some: Limits, others: Limits): Limits {
  const both = { ...some };
  for (const [device, bytes] of Object.entries(others)) both[device] = Math.min(bytes, both[device] ?? Infinity);
  return both;
}
