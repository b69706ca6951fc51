import * as vscode from "vscode";
import type { EngineSettings } from "../shared/engine_settings";
import { readDownloadSettings, readEngineSettings } from "./settings.generated";
import { stringList, stringValue } from "./setting_values";

/** What the engine host is configured with: `nmos.engine`, `nmos.download` and VS Code's own proxy settings. */
export function engineSettings(): EngineSettings {
  const engine = readEngineSettings();
  return {
    modelsDirectory: engine.modelsDirectory,
    vramLimitMiB: engine.vramLimit,
    gpu: engine.gpu,
    cuda: engine.cuda,
    threads: engine.threads,
    contextLength: engine.contextLength,
    kvCacheType: engine.kvCacheType,
    speculation: engine.speculation,
    computeAhead: engine.computeAhead,
    idleReleaseMinutes: engine.idleReleaseMinutes,
    idleUnloadMinutes: engine.idleUnloadMinutes,
    ...proxySettings(),
    ...readDownloadSettings(),
  };
}

/** Extensions have no proxy when `http.proxySupport` is off, not even that of the environment. */
function proxySettings(): Pick<EngineSettings, "proxy" | "noProxy"> {
  const http = vscode.workspace.getConfiguration("http");
  if (http.get("proxySupport") === "off") return { proxy: "", noProxy: "*" };
  return { proxy: stringValue(http.get("proxy"), ""), noProxy: stringList(http.get("noProxy"), []).join(",") };
}

/** Calls back with the new settings after any of them changed. */
export function onEngineSettingsChanged(handler: (settings: EngineSettings) => void): vscode.Disposable {
  return vscode.workspace.onDidChangeConfiguration((change) => {
    const sections = ["nmos.engine", "nmos.download", "http.proxy", "http.noProxy", "http.proxySupport"];
    if (sections.some((section) => change.affectsConfiguration(section))) handler(engineSettings());
  });
}
