import * as assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import * as vscode from "vscode";
import { loadedLibraries } from "./loaded_libraries";
import { tinyExtension, writeTinyExtension } from "./tiny_extension";

const extensionId = "nmos.nmos";

/** Milliseconds that something may take before it counts as never coming. */
const patience = 180_000;

/** In this order, in one window. The names are those of the report. */
export const checks: Record<string, () => Promise<void>> = {
  "the extension becomes active by itself": async () => {
    await until("an active extension", () => nmos().isActive);
  },

  "every command of the manifest is registered": async () => {
    const { contributes } = nmos().packageJSON as { contributes: { commands: { command: string }[] } };
    const wanted = contributes.commands.map(({ command }) => command);
    const registered = await vscode.commands.getCommands(true);
    assert.ok(wanted.length > 0, "the manifest lists no commands");
    assert.deepEqual(
      wanted.filter((command) => !registered.includes(command)),
      [],
      "commands without an implementation",
    );
  },

  "ghost text comes from the engine and is accepted": async () => {
    const document = await vscode.workspace.openTextDocument({
      language: "python",
      content: "def add(a, b):\n    return",
    });
    const editor = await vscode.window.showTextDocument(document);
    const end = document.positionAt(document.getText().length);
    editor.selection = new vscode.Selection(end, end);
    await vscode.commands.executeCommand("type", { text: " " });
    await until("a + b as ghost text", async () => {
      await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
      await delay(500);
      // Does nothing as long as there is no ghost text.
      await vscode.commands.executeCommand("editor.action.inlineSuggest.commit");
      return document.getText().includes("+");
    });
    assert.match(document.getText(), /^def add\(a, b\):\n {4}return a \+ b\s*$/);
  },

  "nothing native of NMOS is loaded into the extension host": () => {
    const libraries = loadedLibraries();
    assert.ok(libraries.length > 0, "the list of loaded libraries is empty");
    const own = libraries.filter((path) => /nmos\.node|(llama|ggml)[\w.-]*\.(so|dll|dylib)/.test(path));
    assert.deepEqual(own, []);
    return Promise.resolve();
  },

  // As NMOS does with a newer version of itself in an archive.
  "VS Code installs an extension from a file when it is told to by a command": async () => {
    const folder = mkdtempSync(join(tmpdir(), "nmos-vsix-"));
    const path = join(folder, "tiny über.vsix");
    try {
      await writeTinyExtension(path);
      await vscode.commands.executeCommand("workbench.extensions.installExtension", vscode.Uri.file(path));
      await until("the extension", () => vscode.extensions.getExtension(tinyExtension) !== undefined);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

function nmos(): vscode.Extension<unknown> {
  const extension = vscode.extensions.getExtension(extensionId);
  if (!extension) throw new Error(`Expected ${extensionId} to be installed.`);
  return extension;
}

async function until(expectation: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + patience;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`Expected ${expectation}, which did not come.`);
    await delay(200);
  }
}
