import type { ChatMessage, ChatResult } from "../../src/shared/chat";
import type { Stops } from "../harness/stops";
import { untilLongEnough, warmUpTokens, type Conditions, type Contender, type PrefillSample } from "./contender";
import { startEngine, type EngineUnderTest } from "./engine_under_test";
import { PromptSource } from "./prompts";

/** Tokens that every chat begins with and whose KV is therefore there: the system message's header. */
export const sharedTokens = 3;

export interface Answer {
  result: ChatResult;
  /** Moments of the request and of every piece of text at the client, in milliseconds of `performance.now`. */
  askedAt: number;
  textsAt: number[];
}

/** NMOS as its users get it: everything is measured at the client, behind the socket. */
export class Nmos implements Contender {
  readonly prompts: PromptSource;

  static async start(root: string, conditions: Conditions, stops: Stops): Promise<Nmos> {
    return new Nmos(await startEngine(root, conditions, stops), conditions.modelPath);
  }

  private constructor(
    private readonly engine: EngineUnderTest,
    private readonly model: string,
  ) {
    this.prompts = new PromptSource((messages) => countTokens(engine, model, messages));
  }

  processIds(): number[] {
    return this.engine.processIds();
  }

  /** The host's pool keeps several sessions; each is made, and its memory touched, before anything is measured. */
  async warmUp(): Promise<void> {
    const mostSessions = 3;
    for (let count = 0; count < mostSessions; count++) await this.prefillOnce(warmUpTokens);
  }

  async prefill(tokens: number): Promise<PrefillSample> {
    await this.prefillOnce(warmUpTokens);
    return this.prefillOnce(tokens);
  }

  decode(depth: number, tokens: number): Promise<number> {
    return untilLongEnough(async () => {
      const { messages } = await this.prompts.next(depth + sharedTokens);
      // The first token comes out of the prompt's pass.
      const { result, textsAt } = await ask(this.engine, this.model, messages, tokens + 1);
      const passes = result.usage.completionTokens - 1;
      const first = textsAt[0];
      const last = textsAt.at(-1);
      if (result.finish !== "length" || passes < tokens || first === undefined || last === undefined) return null;
      return (passes / (last - first)) * 1000;
    });
  }

  close(): Promise<void> {
    return this.engine.close();
  }

  private async prefillOnce(tokens: number): Promise<PrefillSample> {
    const { messages } = await this.prompts.next(tokens + sharedTokens);
    const { result, askedAt, textsAt } = await ask(this.engine, this.model, messages, 1);
    const { promptTokens, reusedTokens } = result.usage;
    const computed = promptTokens - reusedTokens;
    if (computed < tokens || computed > tokens + sharedTokens) {
      throw new Error(`Expected the engine to compute ${tokens} tokens of a new prompt, it computed ${computed}.`);
    }
    // An answer whose first token is not yet a whole character brings its text with the end.
    const firstTextMs = (textsAt[0] ?? performance.now()) - askedAt;
    return { tokensPerSecond: (computed / firstTextMs) * 1000, firstTextMs };
  }
}

export async function countTokens(
  { client }: EngineUnderTest,
  model: string,
  messages: ChatMessage[],
): Promise<number> {
  const { tokens } = await client.request("chat/countTokens", { model, messages });
  return tokens;
}

/** A greedy answer of at most `maxTokens` tokens. */
export async function ask(
  { client }: EngineUnderTest,
  model: string,
  messages: ChatMessage[],
  maxTokens: number,
  { signal, onText }: { signal?: AbortSignal; onText?: () => void } = {},
): Promise<Answer> {
  const textsAt: number[] = [];
  const askedAt = performance.now();
  const result = await client.request(
    "chat/generate",
    { model, messages, maxTokens, sampling: { temperature: 0 } },
    {
      ...(signal ? { signal } : {}),
      onProgress: () => {
        textsAt.push(performance.now());
        onText?.();
      },
    },
  );
  return { result, askedAt, textsAt };
}
