import { checkSuggestion, prefillCheck } from "../completion/check_suggestion";
import type { Handlers } from "../ipc/rpc";
import type { ModelStore } from "../models/model_store";
import type { CheckPrefillParams, LoadedModel, ModelChoice, ModelRole } from "../../shared/protocol";
import { AheadBudget } from "./ahead_budget";
import { completionTime, prefillTime, type ComputeAhead } from "./ahead_limits";
import { fileKey } from "./file_key";

export interface SuggestionChecksOptions {
  store: Pick<ModelStore, "choose">;
  loadedModel: (choice: ModelChoice, role: ModelRole) => Promise<LoadedModel | undefined>;
  ahead: ComputeAhead;
}

/** The handlers with which the main model checks what the fast one suggests. */
export function suggestionChecks({
  store,
  loadedModel,
  ahead,
}: SuggestionChecksOptions): Pick<Handlers, "completion/check" | "completion/prefillCheck"> {
  // Of its own, so that checks leave the chat what it had.
  const budget = new AheadBudget(performance.now());

  /** Whether it is in memory for the chat, and not what suggests. In another role it would be loaded again, for its context. */
  async function canCheck({ model, mainModel }: CheckPrefillParams): Promise<boolean> {
    const main = await loadedModel(mainModel, "main");
    if (!main?.roles.includes("main")) return false;
    const fast = await store.choose(model, "fast").catch(() => null);
    return fast !== null && fileKey(fast.path) !== fileKey(main.path);
  }

  return {
    "completion/check": async (params, { signal }) => {
      if (!(await canCheck(params))) return null;
      return ahead(
        params.mainModel,
        "main",
        { signal, mayLoad: false, isIdle: true, budget },
        async (model, signal) => {
          const checked = await checkSuggestion(model, params, { signal });
          return checked && { ...checked, model: model.ref };
        },
        completionTime,
      );
    },
    "completion/prefillCheck": async (params, { signal }) => {
      if (!(await canCheck(params))) return null;
      const limits = { signal, mayLoad: false, isIdle: true, budget };
      return ahead(
        params.mainModel,
        "main",
        limits,
        (model, signal) => prefillCheck(model, params, { signal }),
        prefillTime,
      );
    },
  };
}
