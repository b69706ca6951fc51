import { completeCode } from "../../src/engine/completion/complete_code";
import { wholePrompt } from "../../src/engine/completion/choose_context";
import type { Suggestion } from "../../src/engine/completion/suggestion";
import { NativeModelHandle } from "../../src/engine/host/native_model_handle";
import { loadAddon } from "../../src/engine/native/load_addon";
import type { CompletionParams, Extract } from "../../src/shared/completion";
import type { Speculation } from "../../src/shared/engine_settings";
import type { Stops } from "../harness/stops";
import type { Conditions } from "../stack/contender";
import { languageOf, type CompletionCase } from "./cases";

/** Completes the line of a case with its whole context, and with extracts of other files. */
export type CompleteLine = (one: CompletionCase, extracts?: Extract[]) => Promise<Suggestion>;

/**
 * A model in this process. Through the engine host a long context is computed ahead in a quarter of the time at most, and a
 * suggestion that comes before that has a shorter one: right for somebody who waits, but not for judging what is suggested.
 */
export async function openModel(root: string, conditions: Conditions, stops: Stops): Promise<CompleteLine> {
  const handle = await openHandle(root, conditions, { speculation: "off" }, stops);
  const { signal } = new AbortController();
  return async (one, extracts = []) => {
    const params = lineOf(one, handle, extracts);
    const { tokens } = await wholePrompt(handle, params);
    await handle.prefill({ tokens, priority: "suggest" });
    return completeCode(handle, params, { signal });
  };
}

/** The handle of a model in this process, on an engine of its own. The setting may change meanwhile. */
export async function openHandle(
  root: string,
  { modelPath, threads, contextLength }: Conditions,
  setting: { speculation: Speculation },
  stops: Stops,
): Promise<NativeModelHandle> {
  const { addon, libraryDirectory } = loadAddon(root);
  const engine = new addon.Engine({ libraryDirectory, backends: "cpu" });
  stops.add(() => engine.close());
  const model = await engine.loadModel({ path: modelPath, contextLength, threads, gpu: "off" });
  if (!model) throw new Error(`expected ${modelPath} to load, but that was called off`);
  return new NativeModelHandle(addon, model, modelPath, {
    threads,
    maxSessions: 1,
    room: () => 1,
    storeBytes: 0,
    bytesPerToken: 1,
    withRoom: (create) => create(),
    takeBack: () => undefined,
    speculation: () => setting.speculation,
    draft: () => null,
  });
}

/** What is asked for to complete the line of a case. */
export function lineOf(
  { file, prefix, suffix }: CompletionCase,
  { ref }: NativeModelHandle,
  extracts: Extract[] = [],
): CompletionParams {
  const place = { path: file, prefix, suffix, extracts, maxTokens: 96 };
  return { ...place, model: ref, languageId: languageOf(file), lines: "single" };
}
