import * as vscode from "vscode";
import type { EngineSettings } from "../shared/protocol";
import { readDownloadSettings, readEngineSettings } from "./settings.generated";
import { stringValue } from "./setting_values";

/** What the engine host is configured with: `nmos.engine`, `nmos.download` and VS Code's own proxy. */
export function engineSettings(): EngineSettings {
  const engine = readEngineSettings();
  const http = vscode.workspace.getConfiguration("http");
  return {
    modelsDirectory: engine.modelsDirectory,
    vramLimitMiB: engine.vramLimit,
    gpu: engine.gpu,
    threads: engine.threads,
    contextLength: engine.contextLength,
    idleUnloadMinutes: engine.idleUnloadMinutes,
    proxy: stringValue(http.get("proxy"), ""),
    mirror: readDownloadSettings().mirror,
  };
}

/** Calls back with the new settings after any of them changed. */
export function onEngineSettingsChanged(handler: (settings: EngineSettings) => void): vscode.Disposable {
  return vscode.workspace.onDidChangeConfiguration((change) => {
    const sections = ["nmos.engine", "nmos.download", "http.proxy"];
    if (sections.some((section) => change.affectsConfiguration(section))) handler(engineSettings());
  });
}
