import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "../harness/statistics";
import type { EngineUnderTest } from "./engine_under_test";
import { ask, countTokens, type Answer } from "./nmos";
import { PromptSource } from "./prompts";

/** Longest time an answer runs before it is cancelled: several tokens, so that the moment falls anywhere in a pass. */
const longestRunMs = 150;
const promptTokens = 64;
/** More than an answer has time for. */
const maxTokens = 512;

/**
 * Milliseconds from cancel to idle: from `abort()` at the client until the cancelled request has settled there. The host
 * answers a cancelled request only after the engine has left the pass, cut the KV cache back and released the session,
 * so at that moment the next request could begin; the way back over the socket is counted, too. Answers are cancelled
 * while they are decoded, at random moments that are the same in every run.
 */
export async function measureCancellations(engine: EngineUnderTest, model: string, samples: number): Promise<number[]> {
  const { messages } = await new PromptSource((conversation) => countTokens(engine, model, conversation)).next(
    promptTokens,
  );
  const random = seededRandom(samples);
  const cancelledMs: number[] = [];
  while (cancelledMs.length < samples) {
    const controller = new AbortController();
    let answer: Promise<Answer> | undefined;
    const decoding = new Promise<void>((resolve) => {
      answer = ask(engine, model, messages, maxTokens, { signal: controller.signal, onText: resolve });
    });
    await Promise.race([decoding, answer]);
    await sleep(random() * longestRunMs);
    const abortedAt = performance.now();
    controller.abort();
    const result = (await answer)?.result;
    if (result?.finish !== "cancelled")
      throw new Error(`Expected a cancelled answer, got one ended by ${result?.finish ?? "nothing"}.`);
    cancelledMs.push(performance.now() - abortedAt);
  }
  return cancelledMs;
}
