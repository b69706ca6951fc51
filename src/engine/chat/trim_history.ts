import type { ChatMessage } from "../../shared/chat";
import { EngineError } from "../../shared/errors";

/** What of a conversation goes to the model. */
export interface TrimmedHistory {
  messages: ChatMessage[];
  tokens: Int32Array;
  /** How many of the oldest messages after the system prompt were left out. */
  dropped: number;
}

/** The beginning moves on by this part of the budget at once: each time, the model computes all the rest anew. */
const stepShare = 0.25;

/**
 * Leaves out the oldest messages after the system prompt until the rest fits `budget` tokens, and so many that the next
 * turns find the same beginning. What stays begins with a question of the user, because templates insist on that. The
 * last message always stays; when even that does not fit, fails with `CONTEXT_TOO_LONG`.
 */
export async function trimHistory(
  messages: readonly ChatMessage[],
  budget: number,
  tokenize: (messages: ChatMessage[]) => Promise<Int32Array>,
): Promise<TrimmedHistory> {
  const system = messages[0]?.role === "system" ? messages.slice(0, 1) : [];
  const history = messages.slice(system.length);
  if (history.length === 0) {
    throw new EngineError("INVALID_ARGUMENT", "Expected a conversation with a message of the user, got none.");
  }
  const without = async (dropped: number): Promise<TrimmedHistory> => {
    const kept = [...system, ...history.slice(dropped)];
    return { messages: kept, tokens: await tokenize(kept), dropped };
  };
  const whole = await without(0);
  const excess = whole.tokens.length - budget;
  if (excess <= 0) return whole;

  const step = Math.max(1, Math.floor(budget * stepShare));
  const most = whole.tokens.length - Math.ceil(excess / step) * step;
  const trimmed = await firstWithin(most, laterTurns(history), without);
  const shortest = trimmed ?? whole;
  if (shortest.tokens.length <= budget) return shortest;
  throw new EngineError(
    "CONTEXT_TOO_LONG",
    `The message and what is attached to it take ${shortest.tokens.length} tokens, but only ${Math.max(0, budget)} fit. Attach less, or raise nmos.engine.contextLength.`,
  );
}

/** The first of the places to begin at that leaves at most so many tokens, else the last; tokenizing takes time. */
async function firstWithin(
  most: number,
  places: readonly number[],
  without: (dropped: number) => Promise<TrimmedHistory>,
): Promise<TrimmedHistory | undefined> {
  let found: TrimmedHistory | undefined;
  let low = 0;
  let high = places.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const candidate = await without(places[middle] ?? 0);
    if (candidate.tokens.length <= most || middle === places.length - 1) {
      found = candidate;
      high = middle - 1;
    } else {
      low = middle + 1;
    }
  }
  return found;
}

/** Every position after the first where a turn of the user begins. */
function laterTurns(history: readonly ChatMessage[]): number[] {
  return history.flatMap(({ role }, index) => (index > 0 && role === "user" ? [index] : []));
}
