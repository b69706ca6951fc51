import * as vscode from "vscode";
import type { Disposable } from "../shared/disposable";
import type { EngineView } from "./engine_view";
import { spillTexts } from "./spill_text";

const limit = "Limit Graphics Memory";
const show = "Show Memory";

/** Tells the user once, on every occasion, that the system moved graphics memory to RAM and what was done about it. */
export function registerSpillNotice(view: EngineView): Disposable {
  /** Occasions of one host that the user was told of. */
  let told = { hostPid: 0, occasion: 0 };

  return view.onChanged(() => {
    const { status } = view;
    if (!status) return;
    if (status.hostPid !== told.hostPid) told = { hostPid: status.hostPid, occasion: 0 };
    const latest = status.models
      .filter(({ spill }) => spill !== null && spill.occasion > told.occasion)
      .sort((a, b) => (b.spill?.occasion ?? 0) - (a.spill?.occasion ?? 0))[0];
    if (!latest?.spill) return;
    told.occasion = latest.spill.occasion;
    void tell(spillTexts([latest]).join(" "));
  });
}

async function tell(text: string): Promise<void> {
  const chosen = await vscode.window.showWarningMessage(text, limit, show);
  if (chosen === limit) await vscode.commands.executeCommand("workbench.action.openSettings", "nmos.engine.vramLimit");
  if (chosen === show) await vscode.commands.executeCommand("nmos.showMemory");
}
