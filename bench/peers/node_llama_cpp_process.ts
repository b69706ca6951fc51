import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Stops } from "../harness/stops";
import type { WorkerAnswer, WorkerReply, WorkerRequest, WorkerStart } from "./node_llama_cpp_protocol";

const worker = fileURLToPath(new URL("node_llama_cpp_worker.ts", import.meta.url));

/** node-llama-cpp in a Node process of its own; times are taken there, so no channel between processes counts. */
export class NodeLlamaCppProcess {
  static async start(start: WorkerStart, stops: Stops): Promise<NodeLlamaCppProcess> {
    const child = fork(worker, ["--start", JSON.stringify(start)], { execArgv: ["--import", "tsx"] });
    const close = stops.add(() => {
      child.kill("SIGKILL");
    });
    const process = new NodeLlamaCppProcess(child, close);
    try {
      await process.reply();
    } catch (thrown) {
      await close();
      throw thrown;
    }
    return process;
  }

  private constructor(
    private readonly child: ChildProcess,
    private readonly kill: () => Promise<void>,
  ) {}

  processIds(): number[] {
    return this.child.pid === undefined ? [] : [this.child.pid];
  }

  close(): Promise<void> {
    return this.kill();
  }

  async answer(request: WorkerRequest): Promise<WorkerAnswer> {
    const reply = this.reply();
    this.child.send(request);
    const received = await reply;
    if (!("answer" in received)) throw new Error("Expected an answer from the node-llama-cpp process.");
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
