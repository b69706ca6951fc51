import type { EngineClient } from "../../engine/client/engine_client";
import type { ParamsOf } from "../../shared/protocol";

/**
 * Has the engine compute conversations ahead of the question, one at a time: a later one ends the one before. Failures are
 * left alone, the question itself meets them, too. Starts no engine.
 */
export class ChatAhead {
  private running: AbortController | undefined;

  constructor(private readonly engine: Pick<EngineClient, "request" | "state">) {}

  /** The function returned ends this one, and none that was begun later. */
  start(params: ParamsOf<"chat/prefill">): () => void {
    this.stop();
    if (this.engine.state.kind !== "running") return () => undefined;
    const controller = new AbortController();
    this.running = controller;
    this.engine.request("chat/prefill", params, { signal: controller.signal }).catch(() => undefined);
    return () => {
      controller.abort();
    };
  }

  stop(): void {
    this.running?.abort();
    this.running = undefined;
  }
}
