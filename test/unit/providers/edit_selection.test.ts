import { beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import type { EditReview, WriteReplacement } from "../../../src/providers/edit_review";
import type { ChatParams } from "../../../src/shared/protocol";
import { commands, fake } from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

let code = "let a;";
vi.mock("../../../src/providers/code_context", () => ({
  codeContext: () => Promise.resolve({ path: "a.ts", languageId: "typescript", code, problems: ["line 1: wrong"] }),
}));

const { registerEditSelection } = await import("../../../src/providers/edit_selection");

/** Runs the command; the model answers so. Resolves with what it was asked and what was proposed. */
async function edit(
  command: string,
  answer: { text: string; finish: string },
): Promise<{ asked: ChatParams | undefined; proposed: string | undefined }> {
  let asked: ChatParams | undefined;
  let proposed: string | undefined;
  const engine: unknown = {
    request: (_: string, params: ChatParams) => {
      asked = params;
      return Promise.resolve(answer);
    },
  };
  const review: unknown = {
    propose: async (_: unknown, __: string, write: WriteReplacement) => {
      proposed = await write(new AbortController().signal, () => undefined);
    },
  };
  const registered = registerEditSelection(engine as EngineClient, review as EditReview);
  await commands.executeCommand(command, "make it a constant");
  registered.dispose();
  return { asked, proposed };
}

beforeEach(() => {
  fake.reset();
  code = "let a;";
});

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
