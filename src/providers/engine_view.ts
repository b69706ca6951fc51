import * as vscode from "vscode";
import type { EngineClient, EngineState } from "../engine/client/engine_client";
import { DisposableStack, type Disposable } from "../shared/disposable";
import type { EngineStatus } from "../shared/engine_status";
import { toEngineError, type EngineError } from "../shared/errors";
import type { ModelState } from "../shared/models";

/** Milliseconds after which a suggestion counts as slow: an indicator that flickers with every keystroke tells nothing. */
const patience = 300;

/**
 * What this window knows of the engine without asking it: the last notifications, the connection, whether a
 * suggestion takes long and the last failure. Asking would start the engine.
 */
export interface EngineView extends Disposable {
  readonly connection: EngineState;
  readonly status: EngineStatus | undefined;
  readonly models: ModelState[] | undefined;
  readonly suggesting: boolean;
  readonly failure: EngineError | undefined;
  readonly onChanged: vscode.Event<void>;
  /** Follows a suggestion until it has ended; remembers its failure, or that there is none any more. */
  watchSuggestion(): { succeeded(): void; failed(error: EngineError): void; ended(): void };
}

export function registerEngineView(engine: EngineClient): EngineView {
  const stack = new DisposableStack();
  const changed = stack.add(new vscode.EventEmitter<void>());
  let status: EngineStatus | undefined;
  let models: ModelState[] | undefined;
  let failure: EngineError | undefined;
  let suggesting = 0;

  /** Notifications tell of changes only: asks once for what there is when a connection is made. */
  async function seed(): Promise<void> {
    try {
      [status, models] = await Promise.all([
        engine.request("engine/status", { startEngine: false }),
        engine.request("models/list", null),
      ]);
      changed.fire();
    } catch (thrown) {
      // The connection went again; its state says so.
      failure = toEngineError(thrown);
    }
  }

  stack.add(
    engine.on("engine/statusChanged", (value) => {
      status = value;
      changed.fire();
    }),
  );
  stack.add(
    engine.on("models/changed", (value) => {
      models = value;
      if (failure?.code === "MODEL_NOT_INSTALLED" && value.some((model) => model.installed)) failure = undefined;
      changed.fire();
    }),
  );
  stack.add(
    engine.onStateChanged((state) => {
      if (state.kind === "running") void seed();
      else status = undefined;
      changed.fire();
    }),
  );

  return {
    get connection() {
      return engine.state;
    },
    get status() {
      return status;
    },
    get models() {
      return models;
    },
    get suggesting() {
      return suggesting > 0;
    },
    get failure() {
      return failure;
    },
    onChanged: changed.event,
    watchSuggestion() {
      let counted = false;
      const timer = setTimeout(() => {
        counted = true;
        suggesting++;
        changed.fire();
      }, patience);
      return {
        succeeded() {
          failure = undefined;
        },
        failed(error) {
          failure = error.code === "CANCELLED" ? undefined : error;
        },
        ended() {
          clearTimeout(timer);
          if (counted) suggesting--;
          changed.fire();
        },
      };
    },
    dispose() {
      stack.dispose();
    },
  };
}
