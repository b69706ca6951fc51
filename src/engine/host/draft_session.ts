import { toEngineError } from "../../shared/errors";
import type { NativeModel, NativeSession } from "../native/addon";
import type { NativeModelHandle } from "./native_model_handle";

export interface DraftSessionOptions {
  /** Whose answers are guessed. */
  main: NativeModel;
  /** The model that guesses, if one is in memory now. */
  source: () => NativeModelHandle | null;
  /** An answer begins, and there is none in memory. */
  onMissing: () => void;
  log: (line: string) => void;
}

/**
 * How much larger the main model has to be than its draft model, where a card computes and on the processor alone: there a pass
 * over several tokens costs almost as much as a pass over each, and only guesses that cost next to nothing save time.
 */
const leastRatio = { card: 1, processor: 4 };

/**
 * Whether a model of so many bytes may guess the answers of `main` in less time than it saves. Where it may, the core measures
 * whether it does; where it may not, it is not loaded for that, and given no memory.
 */
export function mayPay(main: Pick<NativeModel, "info" | "placement">, draftBytes: number): boolean {
  const ratio = main.placement.deviceLayers > 0 ? leastRatio.card : leastRatio.processor;
  return main.info.sizeBytes > draftBytes * ratio;
}

/** The session in which a smaller model guesses the answers of a larger one, made beside the first of them. */
export class DraftSession {
  private source: NativeModelHandle | null = null;
  private session: NativeSession | null = null;

  constructor(private readonly options: DraftSessionOptions) {}

  /** For an answer that begins; null while there is none. */
  current(): NativeSession | null {
    this.prepare();
    if (!this.source) this.options.onMissing();
    return this.session;
  }

  /** Begins to make it where it can be made. */
  prepare(): void {
    const source = this.options.source();
    if (source !== this.source) {
      void this.close();
      this.source = source;
      if (source) void this.make(source);
    }
  }

  /** Frees it; that of a model which was closed was closed with it. Never rejects. */
  async close(): Promise<void> {
    const { source, session } = this;
    this.source = null;
    this.session = null;
    if (source && session) await source.closeDraftSession(session).catch(() => undefined);
  }

  private async make(source: NativeModelHandle): Promise<void> {
    const { main, log } = this.options;
    try {
      const session = await source.createDraftSession(main);
      if (this.source === source) this.session = session;
      else await source.closeDraftSession(session);
    } catch (thrown) {
      // Asked again only for another model, or when this one was loaded anew.
      log(`${source.ref} guesses no answers of ${main.info.description}: ${toEngineError(thrown).message}`);
    }
  }
}
