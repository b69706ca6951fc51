import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Stops } from "../harness/stops";
import { untilLongEnough, warmUpTokens, type Conditions, type Contender, type PrefillSample } from "../stack/contender";
import type { PromptSource } from "../stack/prompts";
import { sharedTokens } from "../stack/nmos";
import type { WorkerAnswer, WorkerReply, WorkerRequest, WorkerStart } from "./node_llama_cpp_protocol";

const worker = fileURLToPath(new URL("node_llama_cpp_worker.ts", import.meta.url));

/** node-llama-cpp in a Node process of its own; times are taken there, so no channel between processes counts. */
export class NodeLlamaCpp implements Contender {
  static async start(
    directory: string,
    conditions: Conditions,
    prompts: PromptSource,
    stops: Stops,
  ): Promise<NodeLlamaCpp> {
    const start: WorkerStart = { directory, conditions };
    const child = fork(worker, ["--start", JSON.stringify(start)], { execArgv: ["--import", "tsx"] });
    const close = stops.add(() => {
      child.kill("SIGKILL");
    });
    const peer = new NodeLlamaCpp(child, prompts, close);
    try {
      await peer.reply();
    } catch (thrown) {
      await close();
      throw thrown;
    }
    return peer;
  }

  private constructor(
    private readonly child: ChildProcess,
    private readonly prompts: PromptSource,
    private readonly kill: () => Promise<void>,
  ) {}

  processIds(): number[] {
    return this.child.pid === undefined ? [] : [this.child.pid];
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
    return this.kill();
  }

  private async ask(promptTokens: number, maxTokens: number): Promise<WorkerAnswer> {
    const { messages } = await this.prompts.next(promptTokens);
    const request: WorkerRequest = { messages, maxTokens };
    const reply = this.reply();
    this.child.send(request);
    const received = await reply;
    if (!("answer" in received)) throw new Error("Expected an answer from the node-llama-cpp process.");
    if (received.answer.promptTokens !== promptTokens) {
      throw new Error(
        `Expected a prompt of ${promptTokens} tokens in node-llama-cpp as in NMOS, got ${received.answer.promptTokens}.`,
      );
    }
    return received.answer;
  }

  /** The next message of the process. Rejects when it reports an error or ends. */
  private reply(): Promise<WorkerReply> {
    return new Promise((resolve, reject) => {
      const ended = (status: number | null, signal: string | null): void => {
        reject(new Error(`The node-llama-cpp process ended with ${signal ?? `status ${status ?? 0}`}.`));
      };
      this.child.once("exit", ended);
      this.child.once("message", (message: WorkerReply) => {
        this.child.removeListener("exit", ended);
        if ("error" in message) reject(new Error(`node-llama-cpp: ${message.error}`));
        else resolve(message);
      });
    });
  }
}
