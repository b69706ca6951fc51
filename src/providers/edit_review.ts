import * as vscode from "vscode";
import { DisposableStack, type Disposable } from "../shared/disposable";
import type { CodeContext } from "./code_context";
import { fitReplacement, relocate, replaceSpan, shiftedStart } from "./edit_text";
import type { EngineView } from "./engine_view";
import { followLoading } from "./loading_progress";
import { notebookOf } from "./document_file";
import { registerCommand } from "./report_failure";

const scheme = "nmos-edit";

/** Milliseconds between two updates of the diff while the model writes. */
const refresh = 100;

/** Writes replacement code, handing on all of it so far; resolves with all of it. */
export type WriteReplacement = (signal: AbortSignal, onText: (soFar: string) => void) => Promise<string>;

/** Shows proposed edits as a diff that is accepted or rejected. */
export interface EditReview extends Disposable {
  /**
   * Opens the diff at once and fills it while the replacement is written; the document is changed by accepting only.
   * A proposal that is still open is rejected by the next one. Code that is not what the context says any more is left
   * alone. Resolves when the writing has ended.
   */
  propose(context: CodeContext, title: string, write: WriteReplacement): Promise<void>;
}

interface Proposal {
  source: vscode.Uri;
  /** The right side of the diff. */
  uri: vscode.Uri;
  /** The text of the document when the proposal was made, and the code to be replaced in it. */
  whole: string;
  original: string;
  start: number;
  /** Where the code begins now, after what was changed in the document meanwhile. */
  anchor: number;
  replacement: string;
  finished: boolean;
  controller: AbortController;
}

export function registerEditReview(engineView: EngineView): EditReview {
  const stack = new DisposableStack();
  const changed = stack.add(new vscode.EventEmitter<vscode.Uri>());
  const contents = new Map<string, string>();
  let proposals = 0;
  let current: Proposal | undefined;

  function setCurrent(proposal: Proposal | undefined): void {
    current = proposal;
    void vscode.commands.executeCommand("setContext", "nmos.editPending", proposal?.finished ?? false);
  }

  function show(proposal: Proposal, replacement: string): void {
    proposal.replacement = fitReplacement(proposal.original, replacement);
    const span = { start: proposal.start, end: proposal.start + proposal.original.length };
    contents.set(proposal.uri.toString(), replaceSpan(proposal.whole, span, proposal.replacement));
    changed.fire(proposal.uri);
  }

  async function discard(proposal: Proposal): Promise<void> {
    proposal.controller.abort();
    if (current === proposal) setCurrent(undefined);
    await closeTab(proposal.uri);
    contents.delete(proposal.uri.toString());
  }

  async function accept(): Promise<void> {
    const proposal = current;
    if (!proposal?.finished) return;
    // Until it is done, a second click finds nothing to accept.
    proposal.finished = false;
    if (!(await apply(proposal))) proposal.finished = true;
  }

  /** Whether the edit was made. */
  async function apply(proposal: Proposal): Promise<boolean> {
    const document = await vscode.workspace.openTextDocument(proposal.source);
    const span = relocate(document.getText(), proposal.original, proposal.anchor);
    if (!span) {
      void vscode.window.showWarningMessage(
        "The code has changed since the edit was proposed, so it was not applied. The diff stays open to copy from.",
      );
      return false;
    }
    const range = new vscode.Range(document.positionAt(span.start), document.positionAt(span.end));
    const edit = new vscode.WorkspaceEdit();
    edit.replace(proposal.source, range, withLineEnds(proposal.replacement, document.eol));
    if (!(await vscode.workspace.applyEdit(edit))) {
      void vscode.window.showWarningMessage("VS Code did not apply the edit: is the file read-only?");
      return false;
    }
    await discard(proposal);
    await reveal(document, range);
    return true;
  }

  stack.add(
    vscode.workspace.registerTextDocumentContentProvider(scheme, {
      onDidChange: changed.event,
      provideTextDocumentContent: (uri) => contents.get(uri.toString()) ?? "",
    }),
  );
  stack.add(registerCommand("nmos.acceptEdit", "The edit was not applied", accept));
  stack.add(
    registerCommand("nmos.rejectEdit", "The edit was not rejected", async () => {
      if (current) await discard(current);
    }),
  );
  stack.add(
    vscode.window.tabGroups.onDidChangeTabs(({ closed }) => {
      const proposal = current;
      // A tab that moves to another group is closed in one and opened in the other.
      if (proposal && closed.some((tab) => isDiffOf(tab, proposal.uri)) && diffTabs(proposal.uri).length === 0) {
        void discard(proposal);
      }
    }),
  );
  stack.add(
    vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      if (current?.source.toString() !== document.uri.toString()) return;
      current.anchor = shiftedStart(current.anchor, contentChanges);
    }),
  );

  return {
    async propose(context, title, write) {
      if (current) await discard(current);
      const { document, range, code } = context;
      const original = document.getText(range);
      if (original !== code) {
        void vscode.window.showWarningMessage("The code has changed meanwhile. Run the command again.");
        return;
      }
      const start = document.offsetAt(range.start);
      const proposal: Proposal = {
        source: document.uri,
        uri: vscode.Uri.from({ scheme, path: document.uri.path, query: `${++proposals}` }),
        whole: document.getText(),
        original,
        start,
        anchor: start,
        replacement: "",
        finished: false,
        controller: new AbortController(),
      };
      setCurrent(proposal);
      contents.set(proposal.uri.toString(), proposal.whole);
      // No preview: looking at another file would close it.
      await vscode.commands.executeCommand("vscode.diff", document.uri, proposal.uri, title, { preview: false });

      let shown = 0;
      const onText = (soFar: string): void => {
        if (current !== proposal || Date.now() - shown < refresh) return;
        shown = Date.now();
        show(proposal, soFar);
      };
      try {
        const replacement = await vscode.window.withProgress(
          { location: vscode.ProgressLocation.Notification, title: `NMOS: ${title}`, cancellable: true },
          async (progress, token) => {
            const loading = followLoading(engineView, progress);
            token.onCancellationRequested(() => {
              void discard(proposal);
            });
            try {
              return await write(proposal.controller.signal, onText);
            } finally {
              loading.dispose();
            }
          },
        );
        if (proposal.controller.signal.aborted) return;
        show(proposal, replacement);
        if (replacement.trim() === "" || proposal.replacement === proposal.original.replaceAll("\r\n", "\n")) {
          await discard(proposal);
          void vscode.window.showInformationMessage("The model proposed no change.");
          return;
        }
        proposal.finished = true;
        setCurrent(proposal);
      } catch (thrown) {
        await discard(proposal);
        throw thrown;
      }
    },
    dispose() {
      current?.controller.abort();
      stack.dispose();
    },
  };
}

function isDiffOf(tab: vscode.Tab, uri: vscode.Uri): boolean {
  return tab.input instanceof vscode.TabInputTextDiff && tab.input.modified.toString() === uri.toString();
}

function diffTabs(uri: vscode.Uri): vscode.Tab[] {
  return vscode.window.tabGroups.all.flatMap((group) => group.tabs).filter((tab) => isDiffOf(tab, uri));
}

async function closeTab(uri: vscode.Uri): Promise<void> {
  await vscode.window.tabGroups.close(diffTabs(uri));
}

/** A cell opens in its notebook, not as a file of its own. */
async function reveal(document: vscode.TextDocument, range: vscode.Range): Promise<void> {
  const notebook = notebookOf(document);
  if (notebook) {
    await vscode.window.showNotebookDocument(notebook);
    return;
  }
  const editor = await vscode.window.showTextDocument(document);
  editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
}

function withLineEnds(text: string, eol: vscode.EndOfLine): string {
  return eol === vscode.EndOfLine.CRLF ? text.replaceAll("\n", "\r\n") : text;
}
