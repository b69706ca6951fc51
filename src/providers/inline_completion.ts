import * as vscode from "vscode";
import { readChatSettings, readCompletionSettings } from "../config/settings.generated";
import type { EngineClient } from "../engine/client/engine_client";
import { leastProbability } from "../engine/completion/suggestion_score";
import { systemClock } from "../engine/editor_loop/clock";
import { DisposableStack, type Disposable } from "../shared/disposable";
import { toEngineError } from "../shared/errors";
import { withAbortSignal } from "./abort_signal";
import type { CompletionToggle } from "./completion_toggle";
import type { Loop } from "./editor_loop";
import { scopeOf } from "./document_file";
import { isEligible } from "./document_filter";
import type { EngineView } from "./engine_view";
import { GhostText } from "./ghost_text";
import type { RecentFiles } from "./recent_files";
import { registerCommand } from "./report_failure";
import { suggestionPlace } from "./suggestion_place";
import type { Complete, Pause, SuggestionQuery } from "./suggestion_source";

/** Where VS Code asked for ghost text. */
interface Asked {
  document: vscode.TextDocument;
  version: number;
  position: vscode.Position;
  query: SuggestionQuery;
}

/** Ghost text. Failures are shown by the status bar, never as a message in the middle of typing. */
export function registerInlineCompletion(
  engine: EngineClient,
  view: EngineView,
  toggle: CompletionToggle,
  recentFiles: RecentFiles,
  loop: Loop,
): Disposable {
  const complete: Complete = async (query, signal, onText) => {
    const watch = view.watchSuggestion();
    const ended = loop.suggesting();
    let answerMs: number | undefined;
    try {
      const result = await engine.request("completion/complete", query, { signal, onProgress: onText });
      const { queuedMs, prefillMs, decodeMs } = result.usage;
      if (result.finish !== "cancelled") answerMs = queuedMs + prefillMs + decodeMs;
      watch.succeeded();
      return result;
    } catch (thrown) {
      watch.failed(toEngineError(thrown));
      throw thrown;
    } finally {
      watch.ended();
      ended(answerMs);
    }
  };
  const ghost = new GhostText({
    clock: systemClock,
    complete,
    completeAhead: (query, signal) => engine.request("completion/ahead", query, { signal }),
    check: (query, suggestion, signal) =>
      engine.request("completion/check", { ...query, mainModel: readChatSettings().model, suggestion }, { signal }),
  });
  let last: Asked | undefined;

  /** Where the cursor is, with the item of the suggest widget that VS Code told of when it last asked there. */
  function placeOf({ document, selection }: vscode.TextEditor): SuggestionQuery {
    const { line, character } = selection.active;
    if (
      last?.document === document &&
      last.version === document.version &&
      last.position.line === line &&
      last.position.character === character
    )
      return last.query;
    return suggestionPlace(document, selection.active, recentFiles).query;
  }

  loop.foreseeWith(async (signal) => {
    const editor = vscode.window.activeTextEditor;
    // Ghost text may have come from the cache: that starts no engine.
    if (!editor || view.connection.kind !== "running" || toggle.availability(editor.document) !== "on") return;
    const { document } = editor;
    const { version } = document;
    const placeNow = () => placeOf(editor);
    if (readCompletionSettings(scopeOf(document)).checkWithMainModel) {
      const isSame = () => vscode.window.activeTextEditor === editor && document.version === version;
      const now = () => (isSame() ? placeNow() : undefined);
      // A failure is one of the main model's, which the next command for it meets, too.
      const replacement = await ghost.check(placeNow(), now, signal).catch(() => null);
      if (replacement !== null) await showAnew(replacement);
    }
    await ghost.foresee(placeNow(), signal);
  });

  const stack = new DisposableStack();
  stack.add(
    vscode.languages.registerInlineCompletionItemProvider(
      { pattern: "**" },
      {
        async provideInlineCompletionItems(document, position, context, token) {
          const asked = context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke;
          const availability = toggle.availability(document);
          if (availability !== "on" && !(asked && availability !== "off")) return undefined;
          if (!isEligible(document) || hasManyCursors(document)) return undefined;

          const { selectedCompletionInfo } = context;
          const place = suggestionPlace(document, position, recentFiles, selectedCompletionInfo);
          last = { document, version: document.version, position, query: place.query };
          const { debounce, hideUnlikely } = readCompletionSettings(scopeOf(document));
          const pause: Pause = (signal) => loop.pause(debounce, signal);
          const unasked = asked ? undefined : { pause, leastProbability: leastProbability[hideUnlikely] };
          try {
            const { text } = await withAbortSignal(token, (signal) => ghost.suggest(place.query, unasked, signal));
            if (text === "" || token.isCancellationRequested) return undefined;
            return [new vscode.InlineCompletionItem(place.selected + text, place.range)];
          } catch {
            return undefined;
          }
        },
      },
    ),
  );
  stack.add(
    registerCommand("nmos.completion.reject", "The suggestion was not hidden", async () => {
      await vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
      const editor = vscode.window.activeTextEditor;
      if (editor) ghost.reject(placeOf(editor));
    }),
  );
  stack.add(
    toggle.onChanged(() => {
      const { isShown } = ghost;
      ghost.forget();
      last = undefined;
      if (toggle.availability(vscode.window.activeTextEditor?.document) === "on") return;
      ghost.cancel();
      // VS Code would keep it until the next key.
      if (isShown) void vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
    }),
  );
  return {
    dispose() {
      stack.dispose();
      ghost.cancel();
    },
  };
}

/**
 * Has VS Code ask for ghost text again, which is known by now. Asked for another one while one is shown, it would keep that and
 * offer the other beside it; both commands at once, because nothing is shown between them.
 */
async function showAnew(text: string): Promise<void> {
  const commands = ["editor.action.inlineSuggest.hide"];
  if (text !== "") commands.push("editor.action.inlineSuggest.trigger");
  await vscode.commands.executeCommand("runCommands", { commands });
}

function hasManyCursors(document: vscode.TextDocument): boolean {
  const editor = vscode.window.activeTextEditor;
  return editor?.document === document && editor.selections.length > 1;
}
