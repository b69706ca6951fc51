import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import type { EditReview } from "../../../src/providers/edit_review";
import type { EngineView } from "../../../src/providers/engine_view";
import type { ChatPrefillParams } from "../../../src/shared/chat";
import { commands, fake, Uri } from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

const { registerChat } = await import("../../../src/providers/chat/register_chat");
type Context = Parameters<typeof registerChat>[0];

let prefills: { text: string; wake: boolean; signal: AbortSignal }[];
let asked: string[];
let chat: ReturnType<typeof registerChat>;

beforeEach(() => {
  fake.reset();
  fake.settings.set("nmos.chat.systemPrompt", "Be brief.");
  prefills = [];
  asked = [];
  const engine: unknown = {
    state: { kind: "running" },
    on: () => ({ dispose: () => undefined }),
    request: (method: string, { messages, wake }: ChatPrefillParams, { signal }: { signal: AbortSignal }) => {
      const text = messages.at(-1)?.content ?? "";
      if (method === "chat/generate") asked.push(text);
      else prefills.push({ text, wake, signal });
      return new Promise(() => undefined);
    },
  };
  const view: unknown = { status: undefined, onChanged: () => ({ dispose: () => undefined }) };
  const context: unknown = {
    extensionUri: Uri.file("/extension"),
    workspaceState: { get: () => undefined, update: () => Promise.resolve() },
  };
  const review: unknown = {};
  chat = registerChat(context as Context, engine as EngineClient, view as EngineView, review as EditReview);
});

afterEach(() => {
  chat.dispose();
});

test.each<[name: string, question: string | undefined]>([
  ["until it is written", "Why?"],
  ["until the user thinks better of it", undefined],
])("the conversation is computed while a question is written in the box, %s", async (_, question) => {
  let answer: (text: string | undefined) => void = () => undefined;
  fake.input = () => new Promise((resolve) => (answer = resolve));
  void commands.executeCommand("nmos.chat.ask");
  await vi.waitUntil(() => prefills.length === 1);
  expect(prefills).toMatchObject([{ text: "Be brief.", wake: true }]);
  expect(prefills[0]?.signal.aborted).toBe(false);
  answer(question);
  await vi.waitUntil(() => prefills[0]?.signal.aborted);
  if (question !== undefined) await vi.waitUntil(() => asked.length > 0);
  expect(asked).toEqual(question === undefined ? [] : [question]);
});

test("what is computed ahead ends when the user types in an editor, and goes on in a file that is not in front", () => {
  const other = fake.open("/ws/b.ts", "let b;");
  fake.show(fake.open("/ws/a.ts", ""), 0);
  chat.prepareFor("about this code");
  other.edit("b", "c");
  expect(prefills.map(({ text, signal }) => [text, signal.aborted])).toEqual([["about this code", false]]);
  fake.type("l");
  expect(prefills.map(({ signal }) => signal.aborted)).toEqual([true]);
});
