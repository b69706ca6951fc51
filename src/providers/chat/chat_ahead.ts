import type { EngineClient } from "../../engine/client/engine_client";
import type { ParamsOf } from "../../shared/protocol";

/**
 * Has the engine compute conversations ahead of the question, one at a time: a later one ends the one before. Failures are
 * left alone, the question itself meets them, too. Starts no engine.
 */
export class ChatAhead {
  private running: AbortController | undefined;
  /** Of what is held, until it is ended; also after it was computed. */
  private held: AbortSignal | undefined;

  constructor(private readonly engine: Pick<EngineClient, "request" | "state">) {}

  /** Does nothing while one is held. The function returned ends this one, and none that was begun later. */
  start(params: ParamsOf<"chat/prefill">): () => void {
    if (this.held && !this.held.aborted) return () => undefined;
    this.stop();
    if (this.engine.state.kind !== "running") return () => undefined;
    const controller = new AbortController();
    this.running = controller;
    this.engine.request("chat/prefill", params, { signal: controller.signal }).catch(() => undefined);
    return () => {
      controller.abort();
    };
  }

  /** Like `start`, for a question that is being written: no `start` ends it, only `stop` and the function returned. */
  hold(params: ParamsOf<"chat/prefill">): () => void {
    this.stop();
    const end = this.start(params);
    this.held = this.running?.signal;
    return end;
  }

  /** Ends also what is held. */
  stop(): void {
    this.running?.abort();
    this.running = undefined;
  }
}
