import * as vscode from "vscode";
import { isPrivateFile } from "../config/private_files";
import { readChatSettings } from "../config/settings.generated";
import type { EngineClient } from "../engine/client/engine_client";
import { commitMessagePrompt, longestDiff } from "../engine/chat/edit_prompts";
import type { Disposable } from "../shared/disposable";
import { withAbortSignal } from "./abort_signal";
import { cleanCommitMessage } from "./commit_text";
import type { EngineView } from "./engine_view";
import { gitRepositories, type GitRepository } from "./git_extension";
import { followLoading } from "./loading_progress";
import { registerCommand } from "./report_failure";
import { promptDiff } from "./staged_diff";

/** Tokens of a commit message. */
const longestMessage = 200;

/** "NMOS: Generate Commit Message": writes a message for what is staged, else for all changes, into the input box. */
export function registerCommitMessage(engine: EngineClient, view: EngineView): Disposable {
  return registerCommand("nmos.commitMessage", "No commit message was written", async (source) => {
    if (!vscode.workspace.isTrusted) {
      void vscode.window.showInformationMessage("Trust the workspace first: its files are not read until then.");
      return;
    }
    const repository = await pickRepository(source);
    if (repository) await writeMessage(engine, view, repository);
  });
}

async function pickRepository(source: unknown): Promise<GitRepository | undefined> {
  const repositories = await gitRepositories();
  const root = rootOf(source) ?? vscode.window.activeTextEditor?.document.uri;
  const found =
    repositories.find((repository) => root && isInside(root, repository.rootUri)) ??
    repositories.find((repository) => repository.ui.selected) ??
    repositories[0];
  if (!found) void vscode.window.showInformationMessage("There is no Git repository in this window.");
  return found;
}

/** The button above the changes passes its source control, the command palette nothing. */
function rootOf(source: unknown): vscode.Uri | undefined {
  const root = typeof source === "object" && source !== null && "rootUri" in source ? source.rootUri : undefined;
  return root instanceof vscode.Uri ? root : undefined;
}

function isInside(uri: vscode.Uri, folder: vscode.Uri): boolean {
  return uri.toString() === folder.toString() || uri.toString().startsWith(`${folder.toString()}/`);
}

async function writeMessage(engine: EngineClient, view: EngineView, repository: GitRepository): Promise<void> {
  const staged = repository.state.indexChanges.length > 0;
  const changes = await repository.diff(staged);
  const diff = promptDiff(changes, (path) => isPrivateFile(vscode.Uri.joinPath(repository.rootUri, path)), longestDiff);
  if (diff === "") {
    void vscode.window.showInformationMessage("There are no changes to describe.");
    return;
  }
  const before = repository.inputBox.value;
  let shown = before;
  let written = "";
  const show = (text: string): void => {
    shown = text;
    repository.inputBox.value = text;
  };
  /** Whether the user writes in the box now: then it is theirs. */
  const isTaken = (): boolean => repository.inputBox.value !== shown;
  try {
    await vscode.window.withProgress(
      { location: vscode.ProgressLocation.Notification, title: "NMOS: writing a commit message", cancellable: true },
      (progress, token) =>
        withAbortSignal(token, async (signal) => {
          const loading = followLoading(view, progress);
          const taken = new AbortController();
          try {
            const result = await engine.request(
              "chat/generate",
              {
                model: readChatSettings().model,
                messages: commitMessagePrompt(diff, diff !== changes),
                maxTokens: longestMessage,
                sampling: { temperature: 0 },
              },
              {
                signal: AbortSignal.any([signal, taken.signal]),
                onProgress: (text) => {
                  written += text;
                  if (isTaken()) taken.abort();
                  else show(cleanCommitMessage(written));
                },
              },
            );
            if (!isTaken()) show(signal.aborted ? before : cleanCommitMessage(result.text));
          } finally {
            loading.dispose();
          }
        }),
    );
  } catch (thrown) {
    if (!isTaken()) repository.inputBox.value = before;
    throw thrown;
  }
}
