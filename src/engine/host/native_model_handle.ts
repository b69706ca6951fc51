import type {
  GenerateResult,
  NativeAddon,
  NativeCancellation,
  NativeModel,
  NativeModelInfo,
  PrefillResult,
  PromptPart,
} from "../native/addon";
import type { ModelRef } from "../../shared/protocol";
import type { GenerateRequest, ModelHandle, PrefillRequest } from "./model_handle";
import { SessionPool } from "./session_pool";

/** A ModelHandle over the addon. AbortSignals become native cancellations here and nowhere else. */
export class NativeModelHandle implements ModelHandle {
  private readonly pool: SessionPool;
  readonly contextLength: number;

  constructor(
    private readonly addon: NativeAddon,
    readonly model: NativeModel,
    readonly ref: ModelRef,
    options: { threads: number; maxSessions: number },
  ) {
    this.contextLength = model.placement.contextLength;
    this.pool = new SessionPool(model, { ...options, contextLength: this.contextLength });
  }

  get info(): NativeModelInfo {
    return this.model.info;
  }

  get sessions(): number {
    return this.pool.size;
  }

  tokenize(parts: PromptPart[], options?: { addBos?: boolean }): Promise<Int32Array> {
    return this.model.tokenize(parts, options ?? {});
  }

  detokenize(tokens: Int32Array, options?: { special?: boolean }): Promise<string> {
    return this.model.detokenize(tokens, options ?? {});
  }

  prefill({ tokens, priority, signal }: PrefillRequest): Promise<PrefillResult> {
    return this.pool.use(tokens, priority, (session) =>
      this.cancellable(signal, (cancellation) => session.prefill({ tokens, priority, cancellation })),
    );
  }

  generate({ signal, onText, ...request }: GenerateRequest): Promise<GenerateResult> {
    return this.pool.use(request.tokens, request.priority, (session) =>
      this.cancellable(signal, (cancellation) => session.generate({ ...request, cancellation }, onText)),
    );
  }

  private async cancellable<T>(
    signal: AbortSignal | undefined,
    work: (cancellation: NativeCancellation) => Promise<T>,
  ): Promise<T> {
    const cancellation = new this.addon.Cancellation();
    const cancel = () => {
      cancellation.cancel();
    };
    if (signal?.aborted) cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      return await work(cancellation);
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }
}
