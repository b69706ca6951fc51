import type { EngineSettings } from "../../shared/engine_settings";
import type { NativeDevice } from "../native/addon";
import { missingBytes } from "./graphics_memory";
import type { ModelEntry } from "./model_entry";
import type { SpillRelief } from "./spill_relief";

export interface MemoryReliefOptions {
  /** The models in memory. */
  entries: ReadonlySet<ModelEntry>;
  spills: SpillRelief;
  settings: () => EngineSettings;
  /** As they are now; only asked for while there are models. */
  devices: () => readonly NativeDevice[];
  /** Ends a model that nobody uses and gives all of its memory back. */
  close: (entry: ModelEntry) => Promise<void>;
  log: (line: string) => void;
}

/** A model is in use for so long after its last request, in milliseconds. */
const recentMs = 30_000;

/** Gives memory of models back that were idle for the times of the settings, and graphics memory that others need. */
export class MemoryRelief {
  private isLooking = false;
  private spillLook: Promise<void> | null = null;

  constructor(private readonly options: MemoryReliefOptions) {}

  /**
   * To be called now and then; does nothing while an earlier call is at it.
   *
   * @param now in milliseconds of the manager's clock.
   */
  async look(now: number): Promise<void> {
    if (this.isLooking) return;
    this.isLooking = true;
    try {
      if (this.spillLook) await this.spillLook;
      const { entries, spills } = this.options;
      await this.giveIdleBack(now);
      await this.relieveCards((card) => card.kind === "gpu");
      await Promise.all([...entries].map((entry) => spills.check(entry)));
    } finally {
      this.isLooking = false;
    }
  }

  /**
   * As `look`, but only for what slows down somebody who is waiting: memory of a card that the system has moved to RAM. To be
   * called every few seconds; asks nothing of the driver while no model is in use.
   */
  async lookForSpills(now: number): Promise<void> {
    if (this.isLooking || this.spillLook) return;
    const used = [...this.options.entries].filter(({ users, lastUsed }) => users > 0 || now - lastUsed < recentMs);
    if (used.length === 0) return;
    const looking = this.relieveSpills(used);
    this.spillLook = looking.catch(() => undefined);
    try {
      await looking;
    } finally {
      this.spillLook = null;
    }
  }

  private async relieveSpills(used: readonly ModelEntry[]): Promise<void> {
    await this.relieveCards((card) => card.kind === "gpu" && card.memoryBeyond > 0);
    await Promise.all(used.map((entry) => this.options.spills.check(entry)));
  }

  private async giveIdleBack(now: number): Promise<void> {
    const { entries, spills, settings, close, log } = this.options;
    const { idleReleaseMinutes, idleUnloadMinutes } = settings();
    const isIdle = (entry: ModelEntry, minutes: number) => minutes > 0 && now - entry.lastUsed >= minutes * 60_000;
    for (const entry of [...entries]) {
      // As it is now: while others were given back, requests have come and ended.
      if (entry.stale || entry.users > 0) continue;
      if (isIdle(entry, idleUnloadMinutes)) {
        log(`unloading ${entry.installed.ref}: idle for ${String(idleUnloadMinutes)} minutes`);
        spills.forget(entry.key);
        await close(entry);
      } else if (isIdle(entry, idleReleaseMinutes)) {
        await entry.graphics.release(`idle for ${String(idleReleaseMinutes)} minutes`);
      }
    }
  }

  /** A card that others have filled gets memory of ours back: of models that were not used for the longest time first. */
  private async relieveCards(isConcerned: (card: NativeDevice) => boolean): Promise<void> {
    const { entries, spills, devices } = this.options;
    if (entries.size === 0) return;
    for (const card of devices()) {
      let missing = isConcerned(card) ? missingBytes(card) : 0;
      const isThere = ({ handle }: ModelEntry) =>
        handle.model.placement.cards.some(({ device }) => device === card.name);
      const there = [...entries].filter(isThere);
      for (const entry of there.sort((a, b) => a.lastUsed - b.lastUsed)) {
        if (missing <= 0) break;
        if (!entries.has(entry)) continue;
        const released = await entry.graphics.release("other programs need it", missing, card.name);
        if (card.memoryBeyond > 0 && released > 0) spills.note(entry, null, released);
        missing -= released;
      }
      // What is beyond the system's grant lies in RAM.
      if (missing > 0 && card.memoryBeyond > 0) await spills.shrink(there, missing, card.name);
    }
  }
}
