import * as vscode from "vscode";
import { DisposableStack, type Disposable } from "../shared/disposable";
import type { CodeContext } from "./code_context";
import { fitReplacement, relocate, replaceSpan } from "./edit_text";
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
   * A proposal that is still open is rejected by the next one. Resolves when the writing has ended.
   */
  propose(context: CodeContext, title: string, write: WriteReplacement): Promise<void>;
}

interface Proposal {
  source: vscode.Uri;
  /** The right side of the diff. */
  uri: vscode.Uri;
  /** The code to be replaced, and where it began when the proposal was made. */
  original: string;
  start: number;
  replacement: string;
  finished: boolean;
  controller: AbortController;
}

export function registerEditReview(): EditReview {
  const stack = new DisposableStack();
  const changed = stack.add(new vscode.EventEmitter<vscode.Uri>());
  const contents = new Map<string, string>();
  let proposals = 0;
  let current: Proposal | undefined;

  function setCurrent(proposal: Proposal | undefined): void {
    current = proposal;
    void vscode.commands.executeCommand("setContext", "nmos.editPending", proposal?.finished ?? false);
  }

  function show(proposal: Proposal, whole: string, replacement: string): void {
    proposal.replacement = fitReplacement(proposal.original, replacement);
    const span = { start: proposal.start, end: proposal.start + proposal.original.length };
    contents.set(proposal.uri.toString(), replaceSpan(whole, span, proposal.replacement));
    changed.fire(proposal.uri);
  }

  async function discard(proposal: Proposal): Promise<void> {
    proposal.controller.abort();
    if (current === proposal) setCurrent(undefined);
    await closeTab(proposal.uri);
    contents.delete(proposal.uri.toString());
  }

  async function accept(): Promise<void> {
    if (!current?.finished) return;
    const proposal = current;
    const document = await vscode.workspace.openTextDocument(proposal.source);
    const span = relocate(document.getText(), proposal.original, proposal.start);
    if (!span) {
      void vscode.window.showWarningMessage(
        "The code has changed since the edit was proposed, so it was not applied. The diff stays open to copy from.",
      );
      return;
    }
    const range = new vscode.Range(document.positionAt(span.start), document.positionAt(span.end));
    const edit = new vscode.WorkspaceEdit();
    edit.replace(proposal.source, range, withLineEnds(proposal.replacement, document.eol));
    if (!(await vscode.workspace.applyEdit(edit))) {
      void vscode.window.showWarningMessage("VS Code did not apply the edit: is the file read-only?");
      return;
    }
    await discard(proposal);
    const editor = await vscode.window.showTextDocument(document);
    editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
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
      if (proposal && closed.some((tab) => isDiffOf(tab, proposal.uri))) void discard(proposal);
    }),
  );

  return {
    async propose(context, title, write) {
      if (current) await discard(current);
      const { document, range } = context;
      const whole = document.getText();
      const proposal: Proposal = {
        source: document.uri,
        uri: vscode.Uri.from({ scheme, path: document.uri.path, query: `${++proposals}` }),
        original: document.getText(range),
        start: document.offsetAt(range.start),
        replacement: "",
        finished: false,
        controller: new AbortController(),
      };
      setCurrent(proposal);
      contents.set(proposal.uri.toString(), whole);
      await vscode.commands.executeCommand("vscode.diff", document.uri, proposal.uri, title, { preview: true });

      let shown = 0;
      const onText = (soFar: string): void => {
        if (current !== proposal || Date.now() - shown < refresh) return;
        shown = Date.now();
        show(proposal, whole, soFar);
      };
      try {
        const replacement = await vscode.window.withProgress(
          { location: vscode.ProgressLocation.Notification, title: `NMOS: ${title}`, cancellable: true },
          (_, token) => {
            token.onCancellationRequested(() => {
              void discard(proposal);
            });
            return write(proposal.controller.signal, onText);
          },
        );
        if (proposal.controller.signal.aborted) return;
        show(proposal, whole, replacement);
        if (replacement.trim() === "" || proposal.replacement === proposal.original) {
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

async function closeTab(uri: vscode.Uri): Promise<void> {
  const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs).filter((tab) => isDiffOf(tab, uri));
  await vscode.window.tabGroups.close(tabs);
}

function withLineEnds(text: string, eol: vscode.EndOfLine): string {
  return eol === vscode.EndOfLine.CRLF ? text.replaceAll("\n", "\r\n") : text;
}
