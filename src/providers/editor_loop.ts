import * as vscode from "vscode";
import { readChatSettings, readCompletionSettings } from "../config/settings.generated";
import type { EngineClient } from "../engine/client/engine_client";
import { systemClock as clock } from "../engine/editor_loop/clock";
import { editKind } from "../engine/editor_loop/edit_kind";
import { EditorLoop } from "../engine/editor_loop/editor_loop";
import type { CompletionPrefillParams } from "../shared/completion";
import { DisposableStack, type Disposable } from "../shared/disposable";
import type { AheadResult } from "../shared/generation";
import type { CompletionToggle } from "./completion_toggle";
import { scopeOf } from "./document_file";
import { isEligible } from "./document_filter";
import type { EngineView } from "./engine_view";
import { pause } from "./pause";
import type { RecentFiles } from "./recent_files";
import { suggestionPlace } from "./suggestion_place";

/** What ghost text needs of the loop. */
export type Loop = Pick<EditorLoop, "pause" | "suggesting" | "foreseeWith">;

/** Milliseconds within which VS Code tells where the cursor is after an edit, in an event of its own. */
const cursorDelay = 10;

/** Tells the loop what happens in the editor in front, and computes ahead where its cursor is. */
export function registerEditorLoop(
  engine: EngineClient,
  view: EngineView,
  toggle: CompletionToggle,
  recentFiles: RecentFiles,
): Loop & Disposable {
  const stack = new DisposableStack();

  async function prefill(reach: CompletionPrefillParams["reach"], signal: AbortSignal): Promise<AheadResult> {
    const isTyping = reach === "typed";
    if (isTyping && !(await pause(cursorDelay, signal))) return null;
    const editor = vscode.window.activeTextEditor;
    // Whoever only looks at files starts no engine.
    if (!editor || (!isTyping && view.connection.kind !== "running")) return null;
    const { document, selection, selections } = editor;
    if (selections.length > 1 || toggle.availability(document) !== "on" || !isEligible(document)) return null;
    // Selected lines are asked about or moved, and what is computed for that has the processor to itself.
    if (!selection.isSingleLine) return null;
    // Who types now replaces what is selected, such as a placeholder of a snippet.
    const { query } = suggestionPlace(document, selection.active, recentFiles, { range: selection, text: "" });
    const result = await engine.request("completion/prefill", { ...query, reach, load: isTyping }, { signal });
    // Last, so that it costs ghost text itself nothing.
    if (!isTyping && !signal.aborted && readCompletionSettings(scopeOf(document)).checkWithMainModel) {
      await engine.request("completion/prefillCheck", { ...query, mainModel: readChatSettings().model }, { signal });
    }
    return result;
  }

  const loop = stack.add(new EditorLoop({ clock, prefill }));
  let lastEdit = -Infinity;

  stack.add(
    vscode.workspace.onDidChangeTextDocument(({ document, contentChanges, reason }) => {
      const editor = vscode.window.activeTextEditor;
      if (editor?.document !== document || contentChanges.length === 0) return;
      lastEdit = clock.now();
      const kind = editKind(
        contentChanges.map(({ rangeOffset, rangeLength, text }) => ({
          offset: rangeOffset,
          removed: rangeLength,
          text,
        })),
        {
          isHistory: reason !== undefined,
          isSelected: !editor.selection.isEmpty,
          cursors: editor.selections.map(({ active }) => document.offsetAt(active)),
        },
      );
      loop.edited(kind, document.languageId);
    }),
  );
  stack.add(
    vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => {
      const isPartOfEdit = clock.now() - lastEdit < cursorDelay;
      if (textEditor === vscode.window.activeTextEditor && !isPartOfEdit) loop.moved();
    }),
  );
  stack.add(
    vscode.window.onDidChangeActiveTextEditor((editor) => {
      if (editor) loop.moved();
      else loop.left();
    }),
  );
  stack.add(
    vscode.window.onDidChangeWindowState(({ focused }) => {
      if (focused && vscode.window.activeTextEditor) loop.moved();
      else if (!focused) loop.left();
    }),
  );
  if (vscode.window.activeTextEditor) loop.moved();
  return {
    pause: (least, signal) => loop.pause(least, signal),
    suggesting: () => loop.suggesting(),
    foreseeWith: (foresee) => {
      loop.foreseeWith(foresee);
    },
    dispose() {
      stack.dispose();
    },
  };
}
