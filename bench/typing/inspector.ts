import { setTimeout as delay } from "node:timers/promises";
import { WebSocket, type MessageEvent } from "undici";

/** Where Node listens for a debugger when a signal asks it to. */
const listUrl = "http://127.0.0.1:9229/json/list";

const patience = 10_000;

interface Answer {
  id?: number;
  result?: unknown;
  error?: { message: string };
}

/** A running Node process, looked into with its own inspector: nothing has to be built into it. */
export class Inspector {
  private lastId = 0;
  private readonly waiting = new Map<number, (answer: Answer) => void>();

  private constructor(private readonly socket: WebSocket) {
    socket.addEventListener("message", ({ data }: MessageEvent) => {
      const answer = JSON.parse(String(data)) as Answer;
      if (answer.id !== undefined) this.waiting.get(answer.id)?.(answer);
    });
  }

  /** Asks the process to open its inspector and connects. Fails where another process has the port. */
  static async attach(processId: number): Promise<Inspector> {
    process.kill(processId, "SIGUSR1");
    const socket = new WebSocket(await debuggerUrl());
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener("error", () => {
        reject(new Error("the inspector of the process does not answer"));
      });
    });
    const inspector = new Inspector(socket);
    const found = await inspector.evaluate("process.pid");
    if (found !== processId) {
      inspector.close();
      throw new Error(
        `Expected the inspector of process ${processId}, got that of ${String(found)}: end that process.`,
      );
    }
    return inspector;
  }

  /** Runs JavaScript in the process; its value has to be JSON. */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = (await this.send("Runtime.evaluate", { expression, returnByValue: true })) as {
      result: { value?: unknown };
      exceptionDetails?: { exception?: { description?: string } };
    };
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? `${expression} failed`);
    return result.value;
  }

  /** One command of the protocol. */
  async send(method: string, params: Record<string, unknown> = {}): Promise<unknown> {
    const id = ++this.lastId;
    const answer = await new Promise<Answer>((resolve) => {
      this.waiting.set(id, resolve);
      this.socket.send(JSON.stringify({ id, method, params }));
    });
    this.waiting.delete(id);
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  }

  close(): void {
    this.socket.close();
  }
}

async function debuggerUrl(): Promise<string> {
  const deadline = Date.now() + patience;
  for (;;) {
    try {
      const targets = (await (await fetch(listUrl)).json()) as { webSocketDebuggerUrl: string }[];
      const url = targets[0]?.webSocketDebuggerUrl;
      if (url !== undefined) return url;
    } catch (thrown) {
      if (Date.now() > deadline) throw new Error(`The process opened no inspector at ${listUrl}.`, { cause: thrown });
    }
    await delay(100);
  }
}
