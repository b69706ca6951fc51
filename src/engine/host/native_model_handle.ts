import type { Speculation } from "../../shared/engine_settings";
import type { Activity } from "../../shared/engine_status";
import { EngineError } from "../../shared/errors";
import type { ModelRef } from "../../shared/models";
import { noGuesses, sumOfGuesses } from "../guesses";
import type {
  GenerateResult,
  NativeAddon,
  NativeCancellation,
  NativeModel,
  NativeModelInfo,
  NativeSession,
  PrefillResult,
  PromptPart,
} from "../native/addon";
import type { GenerateRequest, ModelHandle, PrefillRequest } from "./model_handle";
import { SessionPool, type SessionPoolOptions } from "./session_pool";
import { TokensAhead } from "./tokens_ahead";

export interface NativeModelHandleOptions {
  threads: number;
  maxSessions: number;
  /** How many further sessions there is memory for. */
  room: () => number;
  /** Bytes of RAM for copies of KV caches. */
  storeBytes: number;
  /** Of a KV cache. */
  bytesPerToken: number;
  /** Runs what makes a session, and makes room for it when the card refuses memory. */
  withRoom: SessionPoolOptions["withRoom"];
  /** A session that was made there is closed. */
  takeBack: (session: NativeSession) => void;
  /** As the settings say; asked with every generation. */
  speculation: () => Speculation;
  /** Of a smaller model, which guesses the answers of this one; null: there is none. Asked with every generation. */
  draft: () => NativeSession | null;
}

/** A prefill of fewer tokens says nothing of the speed of longer ones. */
const telling = 32;

/** A ModelHandle over the addon. AbortSignals become native cancellations here and nowhere else. */
export class NativeModelHandle implements ModelHandle {
  private readonly pool: SessionPool;
  readonly contextLength: number;
  private readonly ahead = new TokensAhead();
  /** Tokens a millisecond, an average that forgets. */
  private speed: number | undefined;
  private guesses = noGuesses;
  /** Sessions that guess the answers of other models. */
  private readonly draftSessions = new Set<NativeSession>();

  constructor(
    private readonly addon: NativeAddon,
    readonly model: NativeModel,
    readonly ref: ModelRef,
    private readonly options: NativeModelHandleOptions,
  ) {
    this.contextLength = model.placement.contextLength;
    this.pool = new SessionPool(model, { ...options, contextLength: this.contextLength });
  }

  /** Cancels what runs and gives the memory back. */
  close(): Promise<void> {
    this.pool.forget();
    return this.model.close();
  }

  get info(): NativeModelInfo {
    return this.model.info;
  }

  /** What the model has done so far, with what came of the guesses in all its generations. */
  get activity(): Activity {
    const { computed: aheadTokens, used: usedAheadTokens } = this.ahead;
    return { ...this.model.activity, ...this.guesses, aheadTokens, usedAheadTokens };
  }

  get prefillSpeed(): number | undefined {
    return this.speed;
  }

  get isAwaited(): boolean {
    return this.pool.isAwaited;
  }

  missingTokens(tokens: Int32Array, { brief = false }: Pick<PrefillRequest, "brief"> = {}): number {
    return this.pool.missing(tokens, brief);
  }

  get sessions(): number {
    return this.pool.size + this.draftSessions.size;
  }

  /**
   * A session in which this model guesses the answers of a larger one, as long as those are no longer than its own context.
   * Rejects with `INVALID_ARGUMENT` where the two do not share a vocabulary, and with `OUT_OF_MEMORY`.
   */
  async createDraftSession(main: NativeModel): Promise<NativeSession> {
    const { room, threads, withRoom } = this.options;
    if (room() < 1) throw new EngineError("OUT_OF_MEMORY", "There is no memory for a further KV cache.");
    const contextLength = Math.min(main.placement.contextLength, this.contextLength);
    const create = () => this.model.createSession({ contextLength, threads, draftsFor: main });
    const session = await withRoom(create);
    this.draftSessions.add(session);
    return session;
  }

  async closeDraftSession(session: NativeSession): Promise<void> {
    this.draftSessions.delete(session);
    try {
      await session.close();
    } finally {
      this.options.takeBack(session);
    }
  }

  tokenize(parts: PromptPart[], options?: { addBos?: boolean }): Promise<Int32Array> {
    return this.model.tokenize(parts, options ?? {});
  }

  detokenize(tokens: Int32Array, options?: { special?: boolean }): Promise<string> {
    return this.model.detokenize(tokens, options ?? {});
  }

  async prefill(request: PrefillRequest): Promise<PrefillResult> {
    const { tokens, priority } = request;
    const result = await this.run(request, (session, cancellation) =>
      session.prefill({ tokens, priority, cancellation }),
    );
    return result ?? cancelledPrefill(tokens);
  }

  async generate(request: GenerateRequest): Promise<GenerateResult> {
    const { onText, ...options } = request;
    const speculation = this.options.speculation();
    // Of a smaller model there is an answer already.
    const draft = request.draftTokens ? null : this.options.draft();
    const result = await this.run(request, (session, cancellation) =>
      session.generate({ ...options, speculation, ...(draft && { draft }), cancellation }, onText),
    );
    if (!result) return cancelledGeneration(request.tokens);
    this.guesses = sumOfGuesses(this.guesses, result);
    return result;
  }

  /** Null when the signal was aborted before there was a session. The wait for one counts as time in the queue. */
  private run<T extends PrefillResult>(
    { tokens, priority, brief, signal }: PrefillRequest,
    work: (session: NativeSession, cancellation: NativeCancellation) => Promise<T>,
  ): Promise<T | null> {
    const asked = performance.now();
    return this.pool.use({ tokens, priority, brief, signal }, async (session, preempted, isRestored) => {
      if (isRestored) this.ahead.forget(session);
      const waitedMs = performance.now() - asked;
      const cancellation = new this.addon.Cancellation();
      const cancel = () => {
        cancellation.cancel();
      };
      const ended = signal ? AbortSignal.any([signal, preempted]) : preempted;
      if (ended.aborted) cancel();
      ended.addEventListener("abort", cancel, { once: true });
      try {
        const result = await work(session, cancellation);
        this.ahead.record(session, priority, result);
        this.learnSpeed(result);
        return { ...result, queuedMs: result.queuedMs + waitedMs };
      } finally {
        ended.removeEventListener("abort", cancel);
      }
    });
  }

  private learnSpeed({ computedTokens, computeMs }: PrefillResult): void {
    if (computedTokens < telling || computeMs <= 0) return;
    const speed = computedTokens / computeMs;
    this.speed = this.speed === undefined ? speed : this.speed + (speed - this.speed) / 4;
  }
}

function cancelledPrefill(tokens: Int32Array): PrefillResult {
  return {
    promptTokens: tokens.length,
    reusedTokens: 0,
    computedTokens: 0,
    queuedMs: 0,
    prefillMs: 0,
    computeMs: 0,
    cancelled: true,
  };
}

function cancelledGeneration(tokens: Int32Array): GenerateResult {
  return {
    ...cancelledPrefill(tokens),
    text: "",
    tokens: new Int32Array(),
    finish: "cancelled",
    decodeMs: 0,
    decodePasses: 0,
    draftModelPasses: 0,
    confidence: null,
    ...noGuesses,
  };
}
