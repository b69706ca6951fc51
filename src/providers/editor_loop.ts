import * as vscode from "vscode";
import type { EngineClient } from "../engine/client/engine_client";
import { editKind } from "../engine/editor_loop/edit_kind";
import { EditorLoop, type Clock } from "../engine/editor_loop/editor_loop";
import { DisposableStack, type Disposable } from "../shared/disposable";
import type { AheadResult, CompletionPrefillParams } from "../shared/protocol";
import type { CompletionToggle } from "./completion_toggle";
import { isEligible } from "./document_filter";
import { pause } from "./pause";
import type { EngineView } from "./engine_view";
import type { RecentFiles } from "./recent_files";
import { suggestionPlace } from "./suggestion_place";

const clock: Clock = {
  now: () => performance.now(),
  after(milliseconds, action) {
    const timer = setTimeout(action, milliseconds);
    return () => {
      clearTimeout(timer);
    };
  },
};

/** What ghost text needs of the loop. */
export type Loop = Pick<EditorLoop, "pause" | "suggesting"> & Disposable;

/** Milliseconds within which VS Code tells where the cursor is after an edit, in an event of its own. */
const cursorDelay = 10;

/** Tells the loop what happens in the editor in front, and computes ahead where its cursor is. */
export function registerEditorLoop(
  engine: EngineClient,
  view: EngineView,
  toggle: CompletionToggle,
  recentFiles: RecentFiles,
): Loop {
  const stack = new DisposableStack();

  async function prefill(reach: CompletionPrefillParams["reach"], signal: AbortSignal): Promise<AheadResult> {
    const isTyping = reach === "typed";
    if (isTyping && !(await pause(cursorDelay, signal))) return null;
    const editor = vscode.window.activeTextEditor;
    // Whoever only looks at files starts no engine.
    if (!editor || (!isTyping && view.connection.kind !== "running")) return null;
    const { document, selection, selections } = editor;
    if (selections.length > 1 || toggle.availability(document) !== "on" || !isEligible(document)) return null;
    const { model, path, languageId, prefix, suffix, extracts, maxTokens } = suggestionPlace(
      document,
      selection.active,
      recentFiles,
    ).query;
    const place = { model, path, languageId, prefix, suffix, extracts, maxTokens };
    return engine.request("completion/prefill", { ...place, reach, load: isTyping }, { signal });
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
    dispose() {
      stack.dispose();
    },
  };
}
