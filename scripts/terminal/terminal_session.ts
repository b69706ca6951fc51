/** NMOS in a terminal, through the same client and engine host as in VS Code. */
import { createEngineClient } from "../../src/engine/client/create_engine_client";
import type { EngineClient } from "../../src/engine/client/engine_client";
import type { ChatMessage } from "../../src/shared/chat";
import type { CompletionResult } from "../../src/shared/completion";
import { EngineError } from "../../src/shared/errors";
import type { ModelRef } from "../../src/shared/models";
import { askLine } from "./ask_line";
import { describeEngine, describePlacement, describeSpeed } from "./engine_report";
import { Interruption } from "./interruption";

export interface TerminalOptions {
  /** Folder with `dist/engine_host.cjs` and `prebuilds/`. */
  extensionRoot: string;
  /** An installed model. */
  model: ModelRef;
  /** First question; without it a question about code is asked. */
  prompt: string | undefined;
  /** Without it the settings of the windows hold. */
  vramLimitMiB: number | undefined;
  /** A host that is still running is older than the code in `extensionRoot` and has to go. */
  replaceHost: boolean;
}

const usualPrompt = "Write a Python function that tells whether a string is a palindrome.";
const system = "You are a helpful programming assistant. Answer briefly and precisely, in Markdown.";

const unfinished = {
  path: "statistics.py",
  languageId: "python",
  prefix: 'def mean(values):\n    """Arithmetic mean of a list of numbers."""\n    return ',
  suffix: "\n\n\nprint(mean([1, 2, 3]))\n",
};

/**
 * Shows devices and memory plan, completes a piece of code, answers a question, and takes further questions when there
 * is somebody at the terminal. Throws EngineError.
 */
export async function runTerminal(options: TerminalOptions): Promise<void> {
  const { extensionRoot, model, prompt = usualPrompt, vramLimitMiB, replaceHost } = options;
  const engine = createEngineClient({
    extensionRoot,
    clientName: "terminal",
    settings: vramLimitMiB === undefined ? {} : { vramLimitMiB },
  });
  try {
    if (replaceHost) await engine.endHost();
    const session = new TerminalSession(engine, model);
    await session.showPlan();
    await session.complete();
    await session.answer(prompt);
    if (process.stdin.isTTY && process.stdout.isTTY) await session.takeQuestions();
  } finally {
    engine.dispose();
  }
}

class TerminalSession {
  private readonly interruption = new Interruption();
  private readonly messages: ChatMessage[] = [{ role: "system", content: system }];

  constructor(
    private readonly engine: EngineClient,
    private readonly model: ModelRef,
  ) {}

  async showPlan(): Promise<void> {
    const loaded = await this.engine.request("models/load", { model: this.model, role: "main" });
    print(describeEngine(await this.engine.request("engine/status", { startEngine: true })));
    print(describePlacement(loaded));
  }

  async complete(): Promise<void> {
    let completion: CompletionResult;
    try {
      completion = await this.interruption.around((signal) =>
        this.engine.request(
          "completion/complete",
          { ...unfinished, model: this.model, extracts: [], lines: "auto", maxTokens: 64 },
          { signal },
        ),
      );
    } catch (error) {
      // A model for chat only can still answer.
      if (!(error instanceof EngineError && error.code === "MODEL_UNSUPPORTED")) throw error;
      print(`\n${error.message}`);
      return;
    }
    const { text, usage } = completion;
    print(`\n> Complete this code at the mark:\n\n${indent(`${unfinished.prefix}«${text}»${unfinished.suffix}`)}`);
    print(`[${describeSpeed(usage)}]`);
  }

  /** Answers in the conversation so far, as it comes. */
  async answer(question: string): Promise<void> {
    print(`\n> ${question}\n`);
    await this.reply(question);
  }

  async takeQuestions(): Promise<void> {
    print("\nAsk on; Ctrl-C stops an answer, Ctrl-D ends.");
    for (;;) {
      const question = await askLine("\n> ");
      if (question === null) {
        print("");
        return;
      }
      if (question.trim() === "") continue;
      print("");
      await this.reply(question);
    }
  }

  private async reply(question: string): Promise<void> {
    this.messages.push({ role: "user", content: question });
    const { text, finish, usage, droppedMessages } = await this.interruption.around((signal) =>
      this.engine.request(
        "chat/generate",
        { model: this.model, messages: this.messages, sampling: { temperature: 0 } },
        { signal, onProgress: (piece) => process.stdout.write(piece) },
      ),
    );
    this.messages.push({ role: "assistant", content: text });
    const notes = [
      describeSpeed(usage),
      ...(finish === "stop" ? [] : [finish === "cancelled" ? "stopped" : "cut off at the length limit"]),
      ...(droppedMessages > 0 ? [`${droppedMessages} old messages no longer fit the context`] : []),
    ];
    print(`\n\n[${notes.join("; ")}]`);
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function indent(code: string): string {
  return code.replace(/^(?=.)/gm, "    ");
}
