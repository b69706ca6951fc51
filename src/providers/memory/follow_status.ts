import type { EngineClient } from "../../engine/client/engine_client";
import { DisposableStack, type Disposable } from "../../shared/disposable";
import type { EngineStatus } from "../../shared/engine_status";

/** Milliseconds between two questions while something changes, and while nothing does. */
const quickMs = 250;
const slowMs = 1000;

/** So many questions after the last change are still quick: a slow model's passes are some apart. */
const eagerness = 12;

/**
 * Follows the engine's status until it is disposed: asks often at first and while models load or compute, seldom
 * otherwise. Never starts an engine; `null` says that there is none.
 */
export function followStatus(engine: EngineClient, onStatus: (status: EngineStatus | null) => void): Disposable {
  const stack = new DisposableStack();
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  let asking = false;
  let eager = eagerness;
  let seen = "";

  function take(status: EngineStatus): void {
    const moving = JSON.stringify([status.loading, status.models.map(({ ref, activity }) => [ref, activity])]);
    eager = moving === seen ? Math.max(0, eager - 1) : eagerness;
    seen = moving;
    onStatus(status);
  }

  async function ask(): Promise<void> {
    clearTimeout(timer);
    if (ended || asking || engine.state.kind !== "running") return;
    asking = true;
    // When the connection goes, the engine's state says so.
    const status = await engine.request("engine/status", { startEngine: false }).catch(() => null);
    asking = false;
    if (isOver()) return;
    if (status) take(status);
    else eager = Math.max(0, eager - 1);
    timer = setTimeout(() => void ask(), eager > 0 ? quickMs : slowMs);
  }

  /** Read anew: much happens while an answer is awaited. */
  function isOver(): boolean {
    return ended;
  }

  stack.add(engine.on("engine/statusChanged", take));
  stack.add(
    engine.onStateChanged(({ kind }) => {
      if (kind === "running") void ask();
      else onStatus(null);
    }),
  );
  stack.add({
    dispose: () => {
      ended = true;
      clearTimeout(timer);
    },
  });
  if (engine.state.kind !== "running") onStatus(null);
  void ask();
  return stack;
}
