import { completeCode } from "../../src/engine/completion/complete_code";
import { wholePrompt } from "../../src/engine/completion/choose_context";
import type { Suggestion } from "../../src/engine/completion/suggestion";
import { NativeModelHandle } from "../../src/engine/host/native_model_handle";
import { loadAddon } from "../../src/engine/native/load_addon";
import type { Extract } from "../../src/shared/protocol";
import type { Stops } from "../harness/stops";
import type { Conditions } from "../stack/contender";
import { languageOf, type CompletionCase } from "./cases";

/** Completes the line of a case with its whole context, and with extracts of other files. */
export type CompleteLine = (one: CompletionCase, extracts?: Extract[]) => Promise<Suggestion>;

/**
 * A model in this process. Through the engine host a long context is computed ahead in a quarter of the time at most, and a
 * suggestion that comes before that has a shorter one: right for somebody who waits, but not for judging what is suggested.
 */
export async function openModel(
  root: string,
  { modelPath, threads, contextLength }: Conditions,
  stops: Stops,
): Promise<CompleteLine> {
  const { addon, libraryDirectory } = loadAddon(root);
  const engine = new addon.Engine({ libraryDirectory, backends: "cpu" });
  stops.add(() => engine.close());
  const model = await engine.loadModel({ path: modelPath, contextLength, threads, gpu: "off" });
  if (!model) throw new Error(`expected ${modelPath} to load, but that was called off`);
  const handle = new NativeModelHandle(addon, model, modelPath, {
    threads,
    maxSessions: 1,
    room: () => 1,
    storeBytes: 0,
    bytesPerToken: 1,
    withRoom: (create) => create(),
    takeBack: () => undefined,
    speculation: () => "off",
    draft: () => null,
  });
  const { signal } = new AbortController();
  return async ({ file, prefix, suffix }, extracts = []) => {
    const place = { path: file, prefix, suffix, extracts, maxTokens: 96 };
    const { tokens } = await wholePrompt(handle, place);
    await handle.prefill({ tokens, priority: "suggest" });
    const params = { ...place, model: modelPath, languageId: languageOf(file), lines: "single" as const };
    return completeCode(handle, params, { signal });
  };
}
