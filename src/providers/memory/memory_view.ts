import type * as vscode from "vscode";
import type { EngineClient } from "../../engine/client/engine_client";
import { DisposableStack, type Disposable } from "../../shared/disposable";
import type { EngineStatus } from "../../shared/engine_status";
import { registerCommand } from "../report_failure";
import { followStatus } from "./follow_status";
import { MemoryPanel } from "./memory_panel";
import { memoryPicture, noPicture, type Sample } from "./memory_picture";

/** Speeds are told over at least so many milliseconds: notifications may come right after an answer. */
const shortestSpanMs = 200;

/** "NMOS: Show Memory": a picture of the memory and the models in it, which follows the engine while it is in sight. */
export function registerMemoryView(context: vscode.ExtensionContext, engine: EngineClient): Disposable {
  const stack = new DisposableStack();
  let panel: MemoryPanel | undefined;
  let following: Disposable | undefined;

  function follow(visible: boolean): void {
    if (visible === (following !== undefined)) return;
    following?.dispose();
    following = visible ? followStatus(engine, pictures()) : undefined;
  }

  /** Draws every status beside one that is long enough ago. */
  function pictures(): (status: EngineStatus | null) => void {
    let latest: Sample | undefined;
    let earlier: Sample | undefined;
    return (status) => {
      if (!status) {
        latest = earlier = undefined;
        panel?.show(noPicture);
        return;
      }
      const now = { status, at: performance.now() };
      if (!latest || now.at - latest.at >= shortestSpanMs) [earlier, latest] = [latest, now];
      panel?.show(memoryPicture(now, earlier));
    };
  }

  function closed(): void {
    follow(false);
    panel = undefined;
  }

  stack.add(
    registerCommand("nmos.showMemory", "Memory could not be shown", async () => {
      await engine.request("engine/status", { startEngine: true });
      if (panel) {
        panel.reveal();
        return;
      }
      panel = new MemoryPanel(context.extensionUri, follow, closed);
      follow(true);
    }),
  );
  stack.add({
    dispose: () => {
      panel?.dispose();
    },
  });
  return stack;
}
