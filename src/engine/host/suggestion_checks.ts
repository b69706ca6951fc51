import { checkSuggestion, prefillCheck } from "../completion/check_suggestion";
import type { Handlers } from "../ipc/rpc";
import type { ModelStore } from "../models/model_store";
import type { CheckPrefillParams } from "../../shared/completion";
import type { LoadedModel } from "../../shared/engine_status";
import type { ModelChoice, ModelRole } from "../../shared/models";
import { AheadBudget } from "./ahead_budget";
import { completionTime, prefillTime, type ComputeAhead } from "./ahead_limits";
import { fileKey } from "./file_key";
import type { ModelHandle } from "./model_handle";

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

  /** What the main model computes of it; null where it checks nothing, or may not now. */
  async function checking<T extends object>(
    params: CheckPrefillParams,
    signal: AbortSignal,
    compute: (model: ModelHandle, signal: AbortSignal) => Promise<T | null>,
    timeOf: (result: T) => number,
  ): Promise<T | null> {
    if (!(await canCheck(params))) return null;
    return ahead(params.mainModel, "main", { signal, mayLoad: false, isIdle: true, budget }, compute, timeOf);
  }

  return {
    "completion/check": (params, { signal }) => {
      const check = async (model: ModelHandle, signal: AbortSignal) => {
        const checked = await checkSuggestion(model, params, { signal });
        return checked && { ...checked, model: model.ref };
      };
      return checking(params, signal, check, completionTime);
    },
    "completion/prefillCheck": (params, { signal }) =>
      checking(params, signal, (model, signal) => prefillCheck(model, params, { signal }), prefillTime),
  };
}
