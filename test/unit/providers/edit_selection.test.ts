import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import { ChatAhead } from "../../../src/providers/chat/chat_ahead";
import type { EditReview, WriteReplacement } from "../../../src/providers/edit_review";
import type { ChatParams, ChatPrefillParams } from "../../../src/shared/chat";
import { commands, fake, Position, Range } from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

let code = "let a;";
vi.mock("../../../src/providers/code_context", () => ({
  codeContext: () =>
    Promise.resolve({
      path: "a.ts",
      languageId: "typescript",
      code,
      problems: ["line 1: wrong"],
      range: new Range(new Position(0, 0), new Position(0, 6)),
    }),
}));

const { registerEditSelection } = await import("../../../src/providers/edit_selection");
const { registerSelectionAhead } = await import("../../../src/providers/selection_ahead");

/** Milliseconds after which a selection has settled. */
const settling = 400;

let answer: { text: string; finish: string };
let asked: ChatParams[];
let prefills: { wake: boolean; text: string; signal: AbortSignal }[];
let proposed: string[];
let ahead: ChatAhead;
let registered: { dispose(): void };

beforeEach(() => {
  fake.reset();
  code = "let a;";
  answer = { text: "let b;", finish: "stop" };
  asked = [];
  prefills = [];
  proposed = [];
  const engine: unknown = {
    state: { kind: "running" },
    request: (method: string, params: ChatPrefillParams, { signal }: { signal: AbortSignal }) => {
      if (method === "chat/generate") asked.push(params);
      else prefills.push({ wake: params.wake, text: params.messages.at(-1)?.content ?? "", signal });
      return Promise.resolve(answer);
    },
  };
  const review: unknown = {
    propose: async (_: unknown, __: string, write: WriteReplacement) => {
      proposed.push(await write(new AbortController().signal, () => undefined));
    },
  };
  ahead = new ChatAhead(engine as EngineClient);
  registered = registerEditSelection(engine as EngineClient, review as EditReview, ahead);
});

afterEach(() => {
  registered.dispose();
});

/** Runs the command; the model answers so. Resolves with what it was asked last and what was proposed. */
async function edit(
  command: string,
  given: typeof answer,
): Promise<{ asked: ChatParams | undefined; proposed: string | undefined }> {
  answer = given;
  await commands.executeCommand(command, "make it a constant");
  return { asked: asked.at(-1), proposed: proposed.at(-1) };
}

describe("commands that change code", () => {
  function check(command: string, task: string): void {
    test(command, async () => {
      const { asked, proposed } = await edit(command, { text: "```ts\nconst a;\n```", finish: "stop" });
      expect(asked?.messages.at(-1)?.content).toContain("let a;");
      expect(asked?.messages.at(-1)?.content).toContain(task);
      expect(proposed).toBe("const a;");
    });
  }
  check("nmos.edit", "make it a constant");
  check("nmos.fix", "line 1: wrong");
  check("nmos.document", "documentation comments");

  test("an answer that was cut off is not proposed", async () => {
    const { proposed } = await edit("nmos.fix", { text: "```ts\nconst", finish: "length" });
    expect(proposed).toBeUndefined();
    expect(fake.messages).toEqual([expect.stringContaining("cut off")]);
  });

  test("long code gets room for all of it", async () => {
    code = "x".repeat(10_000);
    expect((await edit("nmos.fix", { text: "y", finish: "stop" })).asked?.maxTokens).toBe(5_000);
    code = "x";
    expect((await edit("nmos.fix", { text: "y", finish: "stop" })).asked?.maxTokens).toBe(1_024);
  });
});

describe("while the user writes what is to change", () => {
  test.each<[name: string, instruction: string | undefined, asked: number]>([
    ["until it is written", "make it a constant", 1],
    ["until the user thinks better of it", undefined, 0],
  ])("the model reads the code, %s", async (_, instruction, expected) => {
    let write: (text: string | undefined) => void = () => undefined;
    fake.input = () => new Promise((resolve) => (write = resolve));
    const edited = commands.executeCommand("nmos.edit");
    await vi.waitUntil(() => prefills.length === 1);
    expect(prefills).toMatchObject([{ wake: true, text: "```typescript\nlet a;\n```\n\nTask: " }]);
    expect(prefills[0]?.signal.aborted).toBe(false);
    write(instruction);
    await edited;
    expect(prefills[0]?.signal.aborted).toBe(true);
    expect(asked).toHaveLength(expected);
    // What was computed is how the request begins.
    for (const { messages } of asked) expect(messages.at(-1)?.content).toBe(`${prefills[0]?.text}${instruction}`);
  });

  test("selected code that settles meanwhile does not end that, but a new selection does", async () => {
    vi.useFakeTimers();
    const selecting = registerSelectionAhead(ahead, { prepareFor: () => () => undefined });
    try {
      fake.input = () => new Promise(() => undefined);
      fake.show(fake.open("/ws/a.ts", "let a;\nlet b;"), 0);
      fake.select(0, 6);
      void commands.executeCommand("nmos.edit");
      await vi.advanceTimersByTimeAsync(settling);
      expect(prefills.map(({ wake, signal }) => [wake, signal.aborted])).toEqual([[true, false]]);
      fake.select(0, 3);
      await vi.advanceTimersByTimeAsync(settling);
      expect(prefills.map(({ wake, signal }) => [wake, signal.aborted])).toEqual([
        [true, true],
        [false, false],
      ]);
    } finally {
      selecting.dispose();
      vi.useRealTimers();
    }
    expect(prefills.at(-1)?.signal.aborted).toBe(true);
  });

  test("a command that brings its instruction has nothing to wait for", async () => {
    await commands.executeCommand("nmos.edit", "make it a constant");
    expect([prefills.length, asked.length]).toEqual([0, 1]);
  });
});
