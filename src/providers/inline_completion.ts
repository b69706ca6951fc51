import * as vscode from "vscode";
import { readCompletionSettings } from "../config/settings.generated";
import type { EngineClient } from "../engine/client/engine_client";
import { SuggestionCache } from "../engine/completion/suggestion_cache";
import { DisposableStack, type Disposable } from "../shared/disposable";
import { toEngineError } from "../shared/errors";
import type { CompletionParams } from "../shared/protocol";
import { withAbortSignal } from "./abort_signal";
import type { CompletionToggle } from "./completion_toggle";
import { pathOf, scopeOf } from "./document_file";
import { isEligible } from "./document_filter";
import { windowAround } from "./document_window";
import type { EngineView } from "./engine_view";
import type { RecentFiles } from "./recent_files";
import { SuggestionSource, type Complete } from "./suggestion_source";

const linesWanted = { auto: "auto", always: "multi", never: "single" } as const;

/** Ghost text. Failures are shown by the status bar, never as a message in the middle of typing. */
export function registerInlineCompletion(
  engine: EngineClient,
  view: EngineView,
  toggle: CompletionToggle,
  recentFiles: RecentFiles,
): Disposable {
  const complete: Complete = async (query, signal, onText) => {
    const watch = view.watchSuggestion();
    try {
      const result = await engine.request("completion/complete", query, { signal, onProgress: onText });
      watch.succeeded();
      return result;
    } catch (thrown) {
      watch.failed(toEngineError(thrown));
      throw thrown;
    } finally {
      watch.ended();
    }
  };
  let cache = new SuggestionCache();
  const source = new SuggestionSource(
    {
      find: ({ path, prefix, suffix }) => cache.find(path, prefix, suffix),
      add: ({ path, prefix, suffix }, text) => {
        cache.add(path, prefix, suffix, text);
      },
    },
    complete,
  );

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

          const settings = readCompletionSettings(scopeOf(document));
          const place = placeOf(document, position, context.selectedCompletionInfo);
          const query: CompletionParams = {
            model: settings.model,
            path: pathOf(document),
            languageId: document.languageId,
            prefix: place.prefix,
            suffix: place.suffix,
            extracts: recentFiles.extracts(document, settings.recentFiles),
            lines: linesWanted[settings.multiline],
            maxTokens: settings.maxTokens,
          };
          try {
            const wait = asked ? 0 : settings.debounce;
            const text = await withAbortSignal(token, (signal) => source.suggest(query, wait, signal));
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
    toggle.onChanged(() => {
      // Another model or length would suggest something else.
      cache = new SuggestionCache();
      const document = vscode.window.activeTextEditor?.document;
      if (toggle.availability(document) !== "on") source.cancel();
    }),
  );
  return {
    dispose() {
      stack.dispose();
      source.cancel();
    },
  };
}

interface Place {
  prefix: string;
  suffix: string;
  /** Text of the item selected in the suggest widget, which the ghost text has to begin with. */
  selected: string;
  range: vscode.Range;
}

/** The text around the cursor as it would be after the selected item of the suggest widget was accepted. */
function placeOf(
  document: vscode.TextDocument,
  position: vscode.Position,
  item: vscode.SelectedCompletionInfo | undefined,
): Place {
  const range = item?.range ?? new vscode.Range(position, position);
  const selected = item?.text ?? "";
  const { prefix, suffix } = windowAround(document, range.start, range.end);
  return { prefix: prefix + selected, suffix, selected, range };
}

function hasManyCursors(document: vscode.TextDocument): boolean {
  const editor = vscode.window.activeTextEditor;
  return editor?.document === document && editor.selections.length > 1;
}
