import type { ChatMessage } from "../../src/shared/chat";
import type { EngineUnderTest } from "../stack/engine_under_test";
import { ask } from "../stack/nmos";

const anything: ChatMessage[] = [{ role: "user", content: "Say something." }];

/**
 * Has the model forget what it has answered, as it does for an answer with guessing off, which stays off. Without that, a
 * question that is asked again would be answered from memory.
 */
export async function forgetAnswers(engine: EngineUnderTest, model: string): Promise<void> {
  await engine.client.updateSettings({ speculation: "off" });
  await ask(engine, model, anything, 1);
}
