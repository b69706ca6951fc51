import { EngineError } from "../../shared/errors";
import type { ChatMessage } from "../../shared/protocol";

/** What of a conversation goes to the model. */
export interface TrimmedHistory {
  messages: ChatMessage[];
  tokens: Int32Array;
  /** How many of the oldest messages after the system prompt were left out. */
  dropped: number;
}

/**
 * Leaves out the oldest messages after the system prompt until the rest fits `budget` tokens. What stays begins with a
 * question of the user, because templates insist on that. The last message always stays; when even that does not fit,
 * fails with `CONTEXT_TOO_LONG`.
 */
export async function trimHistory(
  messages: readonly ChatMessage[],
  budget: number,
  tokenize: (messages: ChatMessage[]) => Promise<Int32Array>,
): Promise<TrimmedHistory> {
  const system = messages[0]?.role === "system" ? messages.slice(0, 1) : [];
  const history = messages.slice(system.length);
  for (const dropped of startsOfTurns(history)) {
    const kept = [...system, ...history.slice(dropped)];
    const tokens = await tokenize(kept);
    if (tokens.length <= budget) return { messages: kept, tokens, dropped };
    if (dropped >= lastTurn(history)) {
      throw new EngineError(
        "CONTEXT_TOO_LONG",
        `The message and what is attached to it take ${tokens.length} tokens, but only ${Math.max(0, budget)} fit. Attach less, or raise nmos.engine.contextLength.`,
      );
    }
  }
  throw new EngineError("INVALID_ARGUMENT", "Expected a conversation with a message of the user, got none.");
}

/** 0, and every later position where a user's turn begins. */
function startsOfTurns(history: readonly ChatMessage[]): number[] {
  return history.flatMap(({ role }, index) => (index === 0 || role === "user" ? [index] : []));
}

function lastTurn(history: readonly ChatMessage[]): number {
  return Math.max(
    0,
    history.findLastIndex(({ role }) => role === "user"),
  );
}
