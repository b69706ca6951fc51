import { modelsDirectory } from "../../src/engine/paths";

/** The model the suite and the end-to-end tests use. */
export const suiteModel = "qwen2.5-coder-0.5b";

/** Settings of a profile that works with the models of this machine and gives the same answers each time. */
export function suiteSettings(): Record<string, unknown> {
  return {
    "nmos.completion.model": suiteModel,
    "nmos.chat.model": suiteModel,
    "nmos.chat.temperature": 0,
    "nmos.engine.modelsDirectory": modelsDirectory(),
  };
}
