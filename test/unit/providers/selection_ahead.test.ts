import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import { ChatAhead } from "../../../src/providers/chat/chat_ahead";
import type { ChatPrefillParams } from "../../../src/shared/chat";
import { fake } from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

/** The code that the command would be about. */
let code = "";
vi.mock("../../../src/providers/code_context", () => ({
  codeContext: () => Promise.resolve({ path: "a.ts", languageId: "typescript", code, problems: [] }),
}));

const { registerSelectionAhead } = await import("../../../src/providers/selection_ahead");

const settling = 400;
let asked: { beginning: string; signal: AbortSignal }[];
let prepared: string[];
let unprepared: number;
let feature: { dispose(): void };

beforeEach(() => {
  fake.reset();
  vi.useFakeTimers();
  asked = [];
  prepared = [];
  unprepared = 0;
  code = "let a;";
  const engine: unknown = {
    state: { kind: "running" },
    request: (_: string, { messages, wake }: ChatPrefillParams, { signal }: { signal: AbortSignal }) => {
      expect(wake).toBe(false);
      asked.push({ beginning: messages.at(-1)?.content ?? "", signal });
      return Promise.resolve(null);
    },
  };
  feature = registerSelectionAhead(new ChatAhead(engine as EngineClient), {
    prepareFor: (beginning) => {
      prepared.push(beginning);
      return () => (unprepared += 1);
    },
  });
  fake.show(fake.open("/ws/a.ts", "let a;\nlet b;"), 0);
});

afterEach(() => {
  feature.dispose();
  vi.useRealTimers();
});

const wait = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);
const about = "```typescript\nlet a;\n```\n\n";

describe("selected code", () => {
  test("is computed ahead for questions and for rewriting, once the selection has settled", async () => {
    fake.select(0, 3);
    await wait(settling - 1);
    fake.select(0, 6);
    await wait(settling - 1);
    expect(asked).toEqual([]);
    await wait(1);
    expect(prepared).toEqual([about]);
    expect(asked.map(({ beginning }) => beginning)).toEqual([`${about}Task: `]);
  });

  test("is left when the selection changes", async () => {
    fake.select(0, 6);
    await wait(settling);
    fake.moveTo(0);
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true]);
    expect(unprepared).toBe(1);
    await wait(settling);
    expect(asked).toHaveLength(1);
  });

  test.each<[name: string, prepare: () => void]>([
    ["that is blank", () => (code = " \n")],
    ["that is too long for a command", () => (code = "x".repeat(6_001))],
    ["of a private file", () => fake.settings.set("nmos.privacy.exclude", ["**/*.ts"])],
    ["of a folder that is not trusted", () => (fake.trusted = false)],
  ])("%s is not computed", async (_, prepare) => {
    prepare();
    fake.select(0, 6);
    await wait(settling);
    expect([asked, prepared]).toEqual([[], []]);
  });
});
