import type { EngineSettings } from "../../shared/engine_settings";
import { toEngineError } from "../../shared/errors";
import type { InstalledModel } from "../models/model_store";
import type { NativeModel } from "../native/addon";
import { fileKey } from "./file_key";
import type { ModelEntry } from "./model_entry";
import type { NativeModelHandle } from "./native_model_handle";

export interface DraftModelsOptions {
  /** The models in memory. */
  entries: Iterable<ModelEntry>;
  settings: () => EngineSettings;
  /** The model that ghost text asks for. Rejects when there is none. */
  choose: () => Promise<InstalledModel>;
  /** Loads that one where nothing has to be given up for it. */
  load: () => Promise<unknown>;
  log: (line: string) => void;
  /** As of the manager. */
  now: () => number;
}

/** Until a model that guesses is asked for again: the last time it could not be loaded, or it has gone since. */
const retryMs = 5 * 60_000;

/**
 * How much larger the main model has to be than its draft model, where a card computes and on the processor alone: there a pass
 * over several tokens costs almost as much as a pass over each, and only guesses that cost next to nothing save time.
 */
const leastRatio = { card: 1, processor: 4 };

/**
 * Whether a model of so many bytes may guess the answers of `main` in less time than it saves. Where it may, the core measures
 * whether it does; where it may not, it is not loaded for that, and given no memory.
 */
function mayPay(main: Pick<NativeModel, "info" | "placement">, draftBytes: number): boolean {
  const ratio = main.placement.deviceLayers > 0 ? leastRatio.card : leastRatio.processor;
  return main.info.sizeBytes > draftBytes * ratio;
}

/** Which model guesses the answers of which: that of ghost text those of a larger one, where it may pay. */
export class DraftModels {
  constructor(private readonly options: DraftModelsOptions) {}

  /** What guesses the answers of `main` now; it counts as used, and gets its graphics memory back. */
  sourceFor(main: ModelEntry): NativeModelHandle | null {
    const fast = this.guesserOf(main);
    if (!fast) return null;
    fast.lastUsed = this.options.now();
    fast.graphics.fill();
    return fast.handle;
  }

  /** Whether requests are there whose answers it guesses. */
  isGuessing(entry: ModelEntry): boolean {
    return [...this.options.entries].some((main) => main.users > 0 && this.guesserOf(main) === entry);
  }

  /** Beside the first answer: guesses of the next ones pay sooner than loading would delay this one. Never rejects. */
  async loadFor(main: ModelEntry): Promise<void> {
    if (!this.isGuessed(main) || this.options.now() - main.draftModelAskedAt < retryMs) return;
    main.draftModelAskedAt = this.options.now();
    try {
      const installed = await this.options.choose();
      if (fileKey(installed.path) === main.key || !mayPay(main.handle.model, installed.sizeBytes)) return;
      await this.options.load();
    } catch (thrown) {
      this.options.log(`no model guesses the answers of ${main.installed.ref}: ${toEngineError(thrown).message}`);
    }
  }

  private guesserOf(main: ModelEntry): ModelEntry | null {
    if (!this.isGuessed(main)) return null;
    const fast = [...this.options.entries].find(({ roles, stale }) => roles.has("fast") && !stale);
    return fast && mayPay(main.handle.model, fast.handle.info.sizeBytes) ? fast : null;
  }

  private isGuessed({ roles, handle }: ModelEntry): boolean {
    const { speculation } = this.options.settings();
    const isAllowed = speculation === "auto" || (speculation === "exact" && handle.model.placement.exactPasses);
    return isAllowed && handle.info.takesTokensBack && !roles.has("fast");
  }
}
