import * as vscode from "vscode";
import { engineSettings, onEngineSettingsChanged } from "./config/engine_settings";
import { createEngineClient } from "./engine/client/create_engine_client";
import { registerChat } from "./providers/chat/register_chat";
import { registerCommitMessage } from "./providers/commit_message";
import { registerCompletionToggle } from "./providers/completion_toggle";
import { registerEditReview } from "./providers/edit_review";
import { registerEditSelection } from "./providers/edit_selection";
import { registerEditorCommands } from "./providers/editor_commands";
import { registerEngineCommands } from "./providers/engine_commands";
import { registerEngineView } from "./providers/engine_view";
import { registerFirstRun } from "./providers/first_run";
import { registerInlineCompletion } from "./providers/inline_completion";
import { registerLanguageModelProvider } from "./providers/language_model_provider";
import { registerMemoryView } from "./providers/memory_view";
import { registerModelCommands } from "./providers/model_commands";
import { registerRecentFiles } from "./providers/recent_files";
import { registerStatusBar } from "./providers/status_bar";
import { registerWalkthrough } from "./providers/walkthrough";

/**
 * Composes the extension. Nothing here waits: the engine starts with the first request, in a process of its own, and
 * everything registered goes with the context's subscriptions, last first.
 */
export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel("NMOS", { log: true });
  const engine = createEngineClient({
    extensionRoot: context.extensionPath,
    clientName: `${vscode.env.appName} ${vscode.version}`,
    settings: engineSettings(),
    log: (line) => {
      log.info(line);
    },
  });
  const settings = onEngineSettingsChanged((changed) => {
    engine.updateSettings(changed).catch((thrown: unknown) => {
      log.error(`The engine did not take the new settings: ${String(thrown)}`);
    });
  });
  const view = registerEngineView(engine);
  const toggle = registerCompletionToggle();
  const recentFiles = registerRecentFiles();
  const review = registerEditReview();
  const chat = registerChat(context, engine, review);

  context.subscriptions.push(
    log,
    engine,
    settings,
    view,
    toggle,
    recentFiles,
    review,
    chat,
    registerInlineCompletion(engine, view, toggle, recentFiles),
    registerStatusBar(view, toggle),
    registerModelCommands(engine),
    registerEngineCommands(engine),
    registerMemoryView(engine),
    registerEditorCommands(chat),
    registerEditSelection(engine, review),
    registerCommitMessage(engine),
    registerLanguageModelProvider(context, engine, view),
    registerWalkthrough(context),
    registerFirstRun(context, engine, view),
  );
}
