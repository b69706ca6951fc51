/**
 * Prompts of an exact length, each of them new: no two share more than the few tokens that every chat begins with, so
 * that nothing of an earlier one is left in a KV cache.
 */
import { seededRandom } from "../harness/statistics";
import type { ChatMessage } from "../../src/shared/chat";
import type { Prompt } from "./contender";

/** Words that are one token each, with the blank before them, in the vocabularies of current models. */
const words = (
  "time year people way day man thing woman life child world school state family student group country problem hand " +
  "part place case week company system program question work government number night point home water room mother " +
  "area money story fact month lot right study book eye job word business issue side kind head house service friend " +
  "father power hour game line end member law car city community name president team minute idea body information"
).split(" ");

const mostCorrections = 8;

/** A conversation with `count` filling words; the same for the same arguments. */
export function promptMessages(index: number, count: number): ChatMessage[] {
  const random = seededRandom(index + 1);
  const filling = Array.from({ length: count }, () => words[Math.floor(random() * words.length)] ?? "");
  // The first word decides how much two prompts share.
  const first = words[index % words.length] ?? "";
  return [
    { role: "system", content: `${first} ${index}: you tell stories.` },
    { role: "user", content: ["Tell a story of two thousand words about these:", ...filling].join(" ") },
  ];
}

/** A new prompt with each call. */
export class PromptSource {
  private index = 0;

  /** `countTokens` counts a conversation as the model would get it. */
  constructor(private readonly countTokens: (messages: ChatMessage[]) => Promise<number>) {}

  /** A prompt of exactly so many tokens, the chat format's own included. */
  async next(tokens: number): Promise<Prompt> {
    const index = this.index++;
    let count = 0;
    let length = 0;
    for (let correction = 0; correction < mostCorrections; correction++) {
      const messages = promptMessages(index, count);
      length = await this.countTokens(messages);
      if (length === tokens) return { messages, tokens };
      if (length > tokens && count === 0) break;
      count = Math.max(0, count + tokens - length);
    }
    throw new Error(`Expected to make a prompt of ${tokens} tokens, got one of ${length}.`);
  }
}
