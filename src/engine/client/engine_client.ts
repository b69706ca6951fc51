import type { Disposable } from "../../shared/disposable";
import type { EngineNotifications, Method, ParamsOf, ProgressOf, ResultOf } from "../../shared/protocol";

export type EngineState =
  | { kind: "stopped" }
  | { kind: "starting" }
  | { kind: "running"; hostPid: number }
  /** Crashed repeatedly; the next request after `retryAt` (milliseconds since the epoch) tries again. */
  | { kind: "failed"; message: string; retryAt: number };

export interface RequestOptions<M extends Method> {
  /** Aborting sends the cancellation and settles the promise as the protocol says. */
  signal?: AbortSignal;
  onProgress?: (value: ProgressOf<M>) => void;
}

/**
 * A window's connection to the one engine host of this user. Starts the host on demand, reconnects after it
 * died, and never throws anything but EngineError.
 */
export interface EngineClient extends Disposable {
  readonly state: EngineState;
  readonly logFile: string;
  request<M extends Method>(method: M, params: ParamsOf<M>, options?: RequestOptions<M>): Promise<ResultOf<M>>;
  on<N extends keyof EngineNotifications>(
    notification: N,
    handler: (value: EngineNotifications[N]) => void,
  ): Disposable;
  /**
   * Ends the host, for every window, and waits until it has gone; one that does not end by itself is killed. Resolves
   * with false when there was none. The next request starts another, also after repeated crashes.
   */
  endHost(): Promise<boolean>;
  onStateChanged(handler: (state: EngineState) => void): Disposable;
}
