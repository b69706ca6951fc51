import { rm, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import * as vscode from "vscode";
import type { ArchivedName, ArchiveInstalled } from "../shared/archive";
import { reportFailure } from "./report_failure";

/** What the user is told of an archive for machines without a network. */
export function archiveText({ installed, present, left, update }: Omit<ArchiveInstalled, "needsRestart">): string {
  const sentences = left.map(({ name, reason }) => `Not installed: ${name} (${reason.replace(/\.$/, "")}).`);
  if (present.length > 0) sentences.unshift(`Already there: ${namesOf(present)}.`);
  if (installed.length > 0) sentences.unshift(`Installed: ${namesOf(installed)}.`);
  if (sentences.length > 0) return sentences.join(" ");
  return update ? `The archive holds nothing but NMOS ${update.version}.` : "The archive holds nothing but this NMOS.";
}

function namesOf(parts: readonly ArchivedName[]): string {
  return parts.map(({ name }) => name).join(", ");
}

/**
 * Offers a newer version of this extension and removes its VSIX afterwards; resolves with whether it was installed. Tells
 * the user when VS Code refuses it: what else the archive holds is installed all the same.
 */
export async function installUpdate({ version, path }: { version: string; path: string }): Promise<boolean> {
  const install = "Install";
  const detail =
    "Its checksum is that of the list in the archive: it was copied whole. That does not say who made it. Install it if you trust where the archive comes from.";
  try {
    const question = `The archive holds a newer version of NMOS, ${version}. Install it?`;
    const chosen = await vscode.window.showInformationMessage(question, { modal: true, detail }, install);
    if (chosen !== install) return false;
    await vscode.commands.executeCommand("workbench.extensions.installExtension", vscode.Uri.file(path));
    return true;
  } catch (thrown) {
    void reportFailure(`NMOS ${version} was not installed`, thrown);
    return false;
  } finally {
    // With the folder that it has to itself. What stays is removed before a later archive is installed.
    await rm(path, { force: true })
      .then(() => rmdir(dirname(path)))
      .catch(() => undefined);
  }
}
