import * as vscode from "vscode";

/** A GGUF file of the user's, by its absolute path. */
export async function pickModelFile(title: string, openLabel: string): Promise<string | undefined> {
  const files = await vscode.window.showOpenDialog({ title, openLabel, filters: { "GGUF models": ["gguf"] } });
  return files?.[0]?.fsPath;
}
