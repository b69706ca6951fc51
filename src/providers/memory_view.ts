import * as vscode from "vscode";
import type { EngineClient } from "../engine/client/engine_client";
import { DisposableStack, type Disposable } from "../shared/disposable";
import { memoryReport } from "./memory_report";
import { registerCommand } from "./report_failure";

const scheme = "nmos-memory";
const report = vscode.Uri.from({ scheme, path: "/NMOS Memory.md" });

/** "NMOS: Show Memory": a read-only Markdown document that follows the engine once it was shown. */
export function registerMemoryView(engine: EngineClient): Disposable {
  const stack = new DisposableStack();
  const changed = stack.add(new vscode.EventEmitter<vscode.Uri>());
  let text = "";

  function show(next: string): void {
    if (next === text) return;
    text = next;
    changed.fire(report);
  }

  stack.add(
    vscode.workspace.registerTextDocumentContentProvider(scheme, {
      onDidChange: changed.event,
      provideTextDocumentContent: () => text,
    }),
  );
  stack.add(
    engine.on("engine/statusChanged", (status) => {
      if (text !== "") show(memoryReport(status));
    }),
  );
  stack.add(
    registerCommand("nmos.showMemory", "Memory could not be shown", async () => {
      show(memoryReport(await engine.request("engine/status", { startEngine: true })));
      try {
        await vscode.commands.executeCommand("markdown.showPreview", report);
      } catch {
        // VS Code's own Markdown extension is disabled: the source reads well enough.
        await vscode.window.showTextDocument(report);
      }
    }),
  );
  return stack;
}
