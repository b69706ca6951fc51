import type * as vscode from "vscode";
import type { Disposable } from "../shared/disposable";
import type { EngineView } from "./engine_view";
import { loadingText } from "./model_text";

/** Says in a progress notification how far a model is that has to be loaded first. */
export function followLoading(view: EngineView, progress: vscode.Progress<{ message?: string }>): Disposable {
  const show = (): void => {
    progress.report({ message: loadingText(view.status) ?? "" });
  };
  show();
  return view.onChanged(show);
}
