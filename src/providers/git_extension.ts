import * as vscode from "vscode";

/** What is used here of the API that VS Code's Git extension exports (version 1). */
export interface GitRepository {
  rootUri: vscode.Uri;
  inputBox: { value: string };
  state: { indexChanges: unknown[]; workingTreeChanges: unknown[] };
  ui: { selected: boolean };
  /** The diff against HEAD of what is staged, or of the working tree against the index. */
  diff(staged: boolean): Promise<string>;
}

interface GitExtension {
  enabled: boolean;
  getAPI(version: 1): { repositories: GitRepository[] };
}

/** The open repositories; none when the Git extension is missing or disabled. */
export async function gitRepositories(): Promise<GitRepository[]> {
  const extension = vscode.extensions.getExtension<GitExtension>("vscode.git");
  const git = await extension?.activate();
  return git?.enabled ? git.getAPI(1).repositories : [];
}
