import { toEngineError } from "../../shared/errors";
import type { NativeModel, NativeSession } from "../native/addon";
import { sessionBytes } from "./model_memory";
import type { NativeModelHandle } from "./native_model_handle";

export interface DraftSessionOptions {
  /** Whose answers are guessed. */
  main: NativeModel;
  /** The model that guesses, if one is in memory now. */
  source: () => NativeModelHandle | null;
  /**
   * Runs what makes a session, and gives so much of the main model's graphics memory back for it, by the card's name, when
   * there is no room.
   */
  withRoom: <T extends object>(bytesByDevice: Readonly<Record<string, number>>, create: () => Promise<T>) => Promise<T>;
  /** The session that was made there is closed. */
  takeBack: (session: NativeSession) => void;
  /** An answer begins, and there is none in memory. */
  onMissing: () => void;
  log: (line: string) => void;
}

/** The session in which a smaller model guesses the answers of a larger one, made beside the first of them. */
export class DraftSession {
  private source: NativeModelHandle | null = null;
  private session: NativeSession | null = null;
  /** Of what is made, the last one is wanted. */
  private turn = 0;

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
    this.turn += 1;
    this.source = null;
    this.session = null;
    if (source && session) await this.free(source, session).catch(() => undefined);
  }

  private async free(source: NativeModelHandle, session: NativeSession): Promise<void> {
    try {
      await source.closeDraftSession(session);
    } finally {
      this.options.takeBack(session);
    }
  }

  private async make(source: NativeModelHandle): Promise<void> {
    const { main, withRoom, log } = this.options;
    const turn = ++this.turn;
    try {
      const { byDevice } = sessionBytes(source.model.placement);
      const session = await withRoom(byDevice, () => source.createDraftSession(main));
      if (this.turn === turn) this.session = session;
      else await this.free(source, session);
    } catch (thrown) {
      // Asked again only for another model, or when this one was loaded anew.
      log(`${source.ref} guesses no answers of ${main.info.description}: ${toEngineError(thrown).message}`);
    }
  }
}
