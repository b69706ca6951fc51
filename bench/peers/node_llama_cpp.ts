import type { Stops } from "../harness/stops";
import { untilLongEnough, warmUpTokens, type Conditions, type Contender, type PrefillSample } from "../stack/contender";
import type { PromptSource } from "../stack/prompts";
import { sharedTokens } from "../stack/nmos";
import { NodeLlamaCppProcess } from "./node_llama_cpp_process";
import type { WorkerAnswer } from "./node_llama_cpp_protocol";

/** node-llama-cpp with prompts of given lengths. */
export class NodeLlamaCpp implements Contender {
  static async start(
    directory: string,
    conditions: Conditions,
    prompts: PromptSource,
    stops: Stops,
  ): Promise<NodeLlamaCpp> {
    return new NodeLlamaCpp(await NodeLlamaCppProcess.start({ directory, conditions }, stops), prompts);
  }

  private constructor(
    private readonly process: NodeLlamaCppProcess,
    private readonly prompts: PromptSource,
  ) {}

  processIds(): number[] {
    return this.process.processIds();
  }

  async prefill(tokens: number): Promise<PrefillSample> {
    await this.ask(warmUpTokens + sharedTokens, 1);
    const { promptTokens, firstMs } = await this.ask(tokens + sharedTokens, 1);
    return { tokensPerSecond: (promptTokens / firstMs) * 1000, firstTextMs: firstMs };
  }

  decode(depth: number, tokens: number): Promise<number> {
    return untilLongEnough(async () => {
      const answer = await this.ask(depth + sharedTokens, tokens + 1);
      if (answer.tokens <= tokens) return null;
      return ((answer.tokens - 1) / (answer.lastMs - answer.firstMs)) * 1000;
    });
  }

  close(): Promise<void> {
    return this.process.close();
  }

  private async ask(promptTokens: number, maxTokens: number): Promise<WorkerAnswer> {
    const { messages } = await this.prompts.next(promptTokens);
    const answer = await this.process.answer({ messages, maxTokens });
    if (answer.promptTokens !== promptTokens) {
      throw new Error(
        `Expected a prompt of ${promptTokens} tokens in node-llama-cpp as in NMOS, got ${answer.promptTokens}.`,
      );
    }
    return answer;
  }
}
