import { toEngineError } from "../../shared/errors";
import type { InstalledModel } from "../models/model_store";
import { fileKey } from "./file_key";
import type { ModelEntry } from "./model_entry";

export interface MeasureAheadOptions {
  /** The models in memory. */
  entries: ReadonlySet<ModelEntry>;
  /** The model that will most likely answer. Rejects when there is none. */
  choose: () => Promise<InstalledModel>;
  /** Has the cards measured that it would be divided by, as far as they are not known; false where there is nothing to measure. */
  measure: (installed: InstalledModel, key: string) => Promise<boolean>;
  log: (line: string) => void;
}

/** Nobody has asked for anything for so long, in milliseconds. */
const quietMs = 3_000;

/** Until it is looked again for a model that was not there. */
const retryMs = 60_000;

/**
 * Has cards measured for the model of the chat in the first pause of a session, as far as they are not known: the first load of that
 * model would wait for it. Only once an engine is there, and something else is loaded.
 */
export class MeasureAhead {
  private readonly done = new Set<string>();
  private lookedAt = -Infinity;
  private isLooking = false;

  constructor(private readonly options: MeasureAheadOptions) {}

  /** What was known holds no longer: settings have changed. */
  forget(): void {
    this.done.clear();
    this.lookedAt = -Infinity;
  }

  /**
   * To be called every few seconds while nothing is loading. Never rejects.
   *
   * @param now in milliseconds of the manager's clock.
   * @param isAllowed whether the machine may work unasked; only called where there is something to do.
   */
  async look(now: number, isAllowed: () => boolean): Promise<void> {
    const { entries, choose, measure, log } = this.options;
    const isQuiet = () => [...entries].every(({ users, lastUsed }) => users === 0 && now - lastUsed >= quietMs);
    if (this.isLooking || entries.size === 0 || now - this.lookedAt < retryMs || !isQuiet()) return;
    this.isLooking = true;
    try {
      const installed = await choose().catch(() => null);
      const key = installed && fileKey(installed.path);
      const isThere = [...entries].some((entry) => entry.key === key);
      // Somebody may have asked for something meanwhile: then it is for the next pause.
      if (!isQuiet()) return;
      this.lookedAt = now;
      if (!installed || !key || isThere || this.done.has(key) || !isAllowed()) return;
      this.done.add(key);
      if (await measure(installed, key))
        log(`looked at how fast the cards are for ${installed.ref}, before it is asked for`);
    } catch (thrown) {
      log(`how fast the cards are is found out with the first load: ${toEngineError(thrown).message}`);
    } finally {
      this.isLooking = false;
    }
  }
}
