import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { noGuesses } from "../../../src/engine/guesses";
import { ChatSession } from "../../../src/providers/chat/chat_session";
import { ConversationStore } from "../../../src/providers/chat/conversation_store";
import type { ChatParams, ChatResult } from "../../../src/shared/chat";
import type { Attachment, ShownEntry, ToView } from "../../../src/shared/chat_messages";
import { EngineError, type ErrorCode } from "../../../src/shared/errors";

/** One answer that the engine was asked for. */
interface Call {
  params: ChatParams;
  signal: AbortSignal;
  write: (text: string) => void;
  end: (result?: Partial<ChatResult>) => Promise<void>;
  fail: (code: ErrorCode) => Promise<void>;
}

const usage = {
  promptTokens: 10,
  reusedTokens: 0,
  completionTokens: 5,
  queuedMs: 0,
  prefillMs: 1,
  decodeMs: 500,
  decodePasses: 5,
  ...noGuesses,
};
const file: Attachment = { kind: "file", label: "a.ts", path: "a.ts", languageId: "typescript", content: "let a;" };

class Bench {
  readonly memory = new Map<string, unknown>();
  readonly calls: Call[] = [];
  readonly posted: ToView[] = [];
  counted = 0;
  /** What was computed ahead, the last messages, and whether it was ended. */
  readonly ahead: { text: string; messages: number; signal: AbortSignal }[] = [];
  connection = "running";
  model = "auto";
  loaded: string[] = [];
  session = this.start();

  /** A window with what the one before has kept. */
  start(): ChatSession {
    const store = new ConversationStore({
      get: (key) => structuredClone(this.memory.get(key)),
      update: (key, value) => Promise.resolve(void this.memory.set(key, structuredClone(value))),
    });
    const connection = () => this.connection;
    const engine = {
      get state() {
        return { kind: connection() };
      },
      request: (
        method: string,
        params: ChatParams,
        options: { signal: AbortSignal; onProgress: (t: string) => void },
      ) => {
        if (method === "models/list") return Promise.resolve([]);
        if (method === "chat/prefill") {
          const { messages } = params;
          this.ahead.push({
            text: messages.at(-1)?.content ?? "",
            messages: messages.length,
            signal: options.signal,
          });
          return Promise.reject(new EngineError("ENGINE_DIED", "which the question will tell"));
        }
        if (method === "chat/countTokens") return Promise.resolve({ tokens: ++this.counted, contextLength: 100 });
        return new Promise<ChatResult>((resolve, reject) => {
          let text = "";
          this.calls.push({
            params,
            signal: options.signal,
            write: (more) => {
              text += more;
              options.onProgress(more);
            },
            end: async (result = {}) => {
              resolve({ text, model: "m", finish: "stop", usage, droppedMessages: 0, contextLength: 100, ...result });
              await settled();
            },
            fail: async (code) => {
              reject(new EngineError(code, "because"));
              await settled();
            },
          });
        });
      },
    };
    this.session = new ChatSession({
      engine: engine as unknown as ConstructorParameters<typeof ChatSession>[0]["engine"],
      store,
      settings: () => ({ model: this.model, systemPrompt: "Be brief.", temperature: 0, maxTokens: 50 }),
      isLoaded: (model) => this.loaded.includes(model),
      post: (message) => this.posted.push(message),
    });
    return this.session;
  }

  get last(): Call {
    const call = this.calls.at(-1);
    if (!call) throw new Error("nothing was asked");
    return call;
  }

  get entries(): ShownEntry[] {
    return this.session.state().conversation.entries;
  }

  get answer(): ShownEntry | undefined {
    return this.entries.at(-1);
  }

  /** Everything said in the conversation. */
  get texts(): string[] {
    return this.entries.map(({ text }) => text);
  }
}

async function settled(): Promise<void> {
  await Promise.resolve();
  await Promise.resolve();
  await Promise.resolve();
}

let bench: Bench;
beforeEach(() => {
  vi.useFakeTimers();
  bench = new Bench();
});
afterEach(() => {
  bench.session.dispose();
  vi.useRealTimers();
});

describe("an answer", () => {
  test("streams in and ends", async () => {
    bench.session.attach(file);
    void bench.session.send("Why?");
    expect(bench.last.params.messages).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: "a.ts:\n```typescript\nlet a;\n```\n\nWhy?" },
    ]);
    expect(bench.session.state()).toMatchObject({ busy: true, attachments: [] });
    bench.last.write("Be");
    expect(bench.posted.at(-1)).toEqual({ type: "text", id: 2, text: "Be" });
    bench.last.write("cause.");
    await bench.last.end();
    expect(bench.answer).toMatchObject({ text: "Because.", status: "complete" });
    expect(bench.session.state()).toMatchObject({ busy: false, meter: { tokens: 15, contextLength: 100 } });
  });

  test("what is attached stays in the extension", () => {
    bench.session.attach(file);
    void bench.session.send("Why?");
    expect(JSON.stringify(bench.posted)).not.toContain("let a;");
    expect(bench.entries[0]?.attachments).toEqual([{ kind: "file", label: "a.ts" }]);
  });

  function checkEnd(name: string, end: (call: Call) => Promise<void>, expected: Partial<ShownEntry>): void {
    test(name, async () => {
      void bench.session.send("Why?");
      bench.last.write("Be");
      await end(bench.last);
      expect(bench.answer).toMatchObject({ text: "Be", ...expected });
      expect(bench.session.state().busy).toBe(false);
      void bench.session.send("Go on");
      expect(bench.last.params.messages.at(-2)).toEqual({ role: "assistant", content: "Be" });
    });
  }
  checkEnd("keeps what there is when the engine dies", (call) => call.fail("ENGINE_DIED"), {
    status: "failed",
    error: { code: "ENGINE_DIED", message: "because" },
  });
  checkEnd("is stopped", (call) => call.end({ finish: "cancelled" }), { status: "stopped" });
  checkEnd("is stopped before the engine got it", (call) => call.fail("CANCELLED"), { status: "stopped" });
  checkEnd("is cut off at its limit", (call) => call.end({ finish: "length" }), {
    status: "complete",
    error: { code: "CONTEXT_TOO_LONG", message: expect.stringContaining("nmos.chat.maxTokens") as string },
  });
  checkEnd("is cut off at the end of the context", (call) => call.end({ finish: "length", contextLength: 15 }), {
    error: { code: "CONTEXT_TOO_LONG", message: expect.stringContaining("context is full") as string },
  });

  const speed = { tokens: 5, tokensPerSecond: 10, droppedMessages: 0 };
  test.each([
    ["no guesses", usage, speed],
    [
      "guesses",
      { ...usage, draftedTokens: 4, acceptedTokens: 3, savedMs: 250 },
      { ...speed, guesses: { drafted: 4, accepted: 3, savedSeconds: 0.25 } },
    ],
  ])("says how fast it came: %s", async (_, given, stats) => {
    void bench.session.send("Why?");
    await bench.last.end({ usage: given });
    expect(bench.answer?.stats).toEqual(stats);
  });

  test("of the user's own making stops nothing and sends nothing", () => {
    void bench.session.send("Why?");
    void bench.session.send("And why?");
    expect(bench.calls).toHaveLength(1);
  });
});

describe("several conversations", () => {
  test("an answer goes on while another conversation is shown, and that one can be answered too", async () => {
    void bench.session.send("First?");
    const first = bench.last;
    const { id } = bench.session.state().conversation;
    bench.session.newConversation();
    expect(bench.session.state().busy).toBe(false);
    first.write("unseen");
    expect(bench.posted.at(-1)?.type).toBe("state");
    void bench.session.send("Second?");
    await bench.last.end({ text: "2" });
    expect(bench.texts).toEqual(["Second?", "2"]);
    bench.session.openConversation(id);
    expect(bench.texts).toEqual(["First?", "unseen"]);
    expect(bench.session.state().busy).toBe(true);
    await first.end();
    expect(bench.answer).toMatchObject({ text: "unseen", status: "complete" });
  });

  test("stopping stops the one that is shown", () => {
    void bench.session.send("First?");
    bench.session.newConversation();
    void bench.session.send("Second?");
    bench.session.stop();
    expect(bench.calls.map(({ signal }) => signal.aborted)).toEqual([false, true]);
  });

  test("one that is deleted while it streams stays deleted", async () => {
    void bench.session.send("Why?");
    bench.last.write("Be");
    bench.session.deleteConversation(bench.session.state().conversation.id);
    expect(bench.last.signal.aborted).toBe(true);
    await bench.last.end({ finish: "cancelled" });
    expect(bench.texts).toEqual([]);
    expect(bench.start().state().conversations).toHaveLength(1);
    expect(bench.texts).toEqual([]);
  });

  test("a command asks in a new one while the current one is answering, and leaves the draft alone", () => {
    void bench.session.send("Why?");
    bench.session.attach(file);
    bench.session.setDraft("half a quest");
    void bench.session.ask("Explain this.");
    expect(bench.calls.map(({ signal }) => signal.aborted)).toEqual([false, false]);
    expect(bench.last.params.messages.at(-1)?.content).toBe("Explain this.");
    expect(bench.session.state()).toMatchObject({ draft: "half a quest", attachments: [{ label: "a.ts" }] });
  });
});

describe("asking again", () => {
  beforeEach(async () => {
    for (const text of ["One?", "Two?"]) {
      void bench.session.send(text);
      await bench.last.end({ text: text.toLowerCase() });
    }
  });

  test("regenerating replaces the last answer", async () => {
    void bench.session.regenerate();
    await bench.last.end({ text: "other" });
    expect(bench.texts).toEqual(["One?", "one?", "Two?", "other"]);
  });

  test("a changed question replaces everything below it", async () => {
    void bench.session.resend(1, "Uno?");
    await bench.last.end({ text: "uno" });
    expect(bench.texts).toEqual(["Uno?", "uno"]);
    expect(bench.session.state().conversation.title).toBe("Uno?");
  });
});

describe("over a reload of the window", () => {
  test("an answer under way keeps what there was of it and says why it ended", () => {
    void bench.session.send("Why?");
    bench.last.write("Be");
    bench.session.dispose();
    bench.start();
    expect(bench.answer).toMatchObject({ text: "Be", status: "stopped", error: { code: "CANCELLED" } });
  });

  test("a window that ends without notice loses at most the last seconds", () => {
    void bench.session.send("Why?");
    bench.last.write("Be");
    vi.advanceTimersByTime(5_000);
    bench.last.write("cause");
    bench.last.write(" lost");
    bench.start();
    expect(bench.answer).toMatchObject({ text: "Because", status: "stopped" });
  });

  test("what a reload interrupts is not overwritten by the failing request", async () => {
    void bench.session.send("Why?");
    bench.last.write("Be");
    bench.session.dispose();
    await bench.last.fail("CLOSED");
    bench.start();
    expect(bench.answer?.error?.code).toBe("CANCELLED");
  });
});

describe("the meter", () => {
  test("counts a draft only while the model is loaded, once the user pauses", async () => {
    bench.model = "m";
    bench.session.setDraft("a");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(bench.counted).toBe(0);
    bench.loaded = ["m"];
    for (const draft of ["ab", "abc"]) bench.session.setDraft(draft);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(bench.counted).toBe(1);
    expect(bench.posted.at(-1)).toEqual({ type: "meter", tokens: 1, contextLength: 100 });
  });

  test("a draft loads no other model than the one in memory", async () => {
    bench.loaded = ["m"];
    bench.model = "large";
    bench.session.setDraft("a");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(bench.counted).toBe(0);
  });

  test("with the model chosen automatically a draft is counted by the one that answered", async () => {
    bench.loaded = ["m"];
    bench.session.setDraft("a");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(bench.counted).toBe(0);
    void bench.session.send("Why?");
    await bench.last.end({ model: "m" });
    bench.session.setDraft("ab");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(bench.counted).toBe(1);
    await bench.session.refreshModels();
    bench.session.setDraft("abc");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(bench.counted).toBe(1);
  });
});

test("what the engine does is shown until the answer begins", () => {
  bench.session.showProgress("Loading m, 1%");
  expect(bench.posted).toEqual([]);
  void bench.session.send("Why?");
  bench.session.showProgress("Loading m, 2%");
  bench.last.write("Be");
  bench.session.showProgress("Loading m, 3%");
  expect(bench.posted.filter(({ type }) => type === "progress")).toEqual([{ type: "progress", text: "Loading m, 2%" }]);
});

describe("computed ahead", () => {
  const ahead = () => bench.ahead.map(({ text }) => text);

  test("is what has been said when the user is about to write", async () => {
    bench.session.prepare();
    void bench.session.send("Why?");
    bench.last.write("So.");
    await bench.last.end();
    bench.session.prepare();
    expect(bench.ahead.map(({ text, messages }) => [messages, text])).toEqual([
      [1, "Be brief."],
      [3, "So."],
    ]);
  });

  test("is the question as far as it is written, with what is attached, when the user pauses", async () => {
    bench.session.attach(file);
    for (const draft of ["W", "Wh", "Why"]) bench.session.setDraft(draft);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(ahead()).toEqual(["a.ts:\n```typescript\nlet a;\n```\n\nWhy"]);
  });

  test("is what a command's question begins with", () => {
    bench.session.setDraft("something else");
    const stop = bench.session.prepareFor("about this code");
    expect(ahead()).toEqual(["about this code"]);
    expect(bench.ahead[0]?.signal.aborted).toBe(false);
    stop();
    expect(bench.ahead[0]?.signal.aborted).toBe(true);
    bench.session.prepare();
    stop();
    expect(bench.ahead[1]?.signal.aborted).toBe(false);
  });

  test("ends with the next one and with the question", async () => {
    bench.session.prepare();
    bench.session.setDraft("Why");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(bench.ahead.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    void bench.session.send("Why?");
    expect(bench.ahead.map(({ signal }) => signal.aborted)).toEqual([true, true]);
  });

  test("is nothing while an answer is under way, and starts no engine", () => {
    bench.connection = "stopped";
    bench.session.prepare();
    bench.connection = "running";
    void bench.session.send("Why?");
    bench.session.prepare();
    expect(ahead()).toEqual([]);
  });
});
