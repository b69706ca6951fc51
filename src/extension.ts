import * as vscode from "vscode";
import { engineSettings, onEngineSettingsChanged } from "./config/engine_settings";
import { watchSettings } from "./config/settings_memory";
import { createEngineClient } from "./engine/client/create_engine_client";
import { ChatAhead } from "./providers/chat/chat_ahead";
import { registerChat } from "./providers/chat/register_chat";
import { registerCommitMessage } from "./providers/commit_message";
import { registerCompletionToggle } from "./providers/completion_toggle";
import { registerEditorLoop } from "./providers/editor_loop";
import { registerEditReview } from "./providers/edit_review";
import { registerEditSelection } from "./providers/edit_selection";
import { registerEditorCommands } from "./providers/editor_commands";
import { registerEngineCommands } from "./providers/engine_commands";
import { registerEngineView } from "./providers/engine_view";
import { registerFirstRun } from "./providers/first_run";
import { registerInlineCompletion } from "./providers/inline_completion";
import { registerLanguageModelProvider } from "./providers/language_model_provider";
import { registerCheckMachine } from "./providers/machine/check_machine";
import { registerMemoryView } from "./providers/memory/memory_view";
import { registerModelCommands } from "./providers/model_commands";
import { registerPackCommands } from "./providers/pack_commands";
import { registerQuantiseModel } from "./providers/quantise_model";
import { registerRecentFiles } from "./providers/recent_files";
import { registerSelectionAhead } from "./providers/selection_ahead";
import { registerSpillNotice } from "./providers/spill_notice";
import { registerStatusBar } from "./providers/status_bar";
import { registerWalkthrough } from "./providers/walkthrough";
import { DisposableStack } from "./shared/disposable";

/**
 * Composes the extension. Nothing here waits: the engine starts with the first request, in a process of its own. What
 * was registered last is disposed first, so that every feature still finds what it builds on.
 */
export function activate(context: vscode.ExtensionContext): void {
  const stack = new DisposableStack();
  context.subscriptions.push(stack);
  stack.add(watchSettings());
  const log = stack.add(vscode.window.createOutputChannel("NMOS", { log: true }));
  const engine = stack.add(
    createEngineClient({
      extensionRoot: context.extensionPath,
      clientName: `${vscode.env.appName} ${vscode.version}`,
      settings: engineSettings(),
      log: (line) => {
        log.info(line);
      },
      onOtherVersion: (message) => {
        void vscode.window.showInformationMessage(message);
      },
    }),
  );
  stack.add(
    onEngineSettingsChanged((changed) => {
      engine.updateSettings(changed).catch((thrown: unknown) => {
        log.error(`The engine did not take the new settings: ${String(thrown)}`);
      });
    }),
  );
  const view = stack.add(registerEngineView(engine));
  const toggle = stack.add(registerCompletionToggle());
  const recentFiles = stack.add(registerRecentFiles());
  const review = stack.add(registerEditReview(view));
  const chat = stack.add(registerChat(context, engine, view, review));
  const loop = stack.add(registerEditorLoop(engine, view, toggle, recentFiles));
  stack.add(registerInlineCompletion(engine, view, toggle, recentFiles, loop));
  stack.add(registerStatusBar(view, toggle));
  stack.add(registerSpillNotice(view));
  stack.add(registerModelCommands(engine));
  stack.add(registerQuantiseModel(engine));
  stack.add(registerPackCommands(engine, view));
  stack.add(registerEngineCommands(engine, view));
  stack.add(registerCheckMachine(engine));
  stack.add(registerMemoryView(context, engine));
  stack.add(registerEditorCommands(chat));
  // One for both: the box for the instruction often follows a selection, and begins with the same prompt.
  const codeAhead = new ChatAhead(engine);
  stack.add(registerEditSelection(engine, review, codeAhead));
  stack.add(registerSelectionAhead(codeAhead, chat));
  stack.add(registerCommitMessage(engine, view));
  stack.add(registerLanguageModelProvider(context, engine, view));
  stack.add(registerWalkthrough(context, engine));
  stack.add(registerFirstRun(context, engine, view));
}
