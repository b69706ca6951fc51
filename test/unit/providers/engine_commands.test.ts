import { beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import type { EngineView } from "../../../src/providers/engine_view";
import type { EngineStatus } from "../../../src/shared/engine_status";
import { engineStatus } from "../support/engine_status";
import { commands, fake } from "./fake_vscode";

const answers = vi.hoisted(() => ({ next: undefined as string | undefined }));

vi.mock("vscode", async () => {
  const base = await import("./fake_vscode");
  const ask = (text: string) => {
    base.fake.messages.push(text);
    return Promise.resolve(answers.next);
  };
  const createOutputChannel = () => ({ dispose: () => undefined });
  const messages = { showInformationMessage: ask, showWarningMessage: ask };
  return { ...base, window: { ...base.window, ...messages, createOutputChannel } };
});

const { registerEngineCommands } = await import("../../../src/providers/engine_commands");

/** What the engine was told when the user has it started anew and answers like this to what is asked. */
async function restart(status: EngineStatus | undefined, answer?: string): Promise<string[]> {
  answers.next = answer;
  const told: string[] = [];
  const engine = {
    endHost: () => {
      told.push("end");
      return Promise.resolve(true);
    },
    request: (method: string) => {
      told.push(method);
      return Promise.resolve(engineStatus());
    },
  };
  const view: unknown = { status };
  const registered = registerEngineCommands(engine as unknown as EngineClient, view as EngineView);
  await commands.executeCommand("nmos.restartEngine");
  registered.dispose();
  return told;
}

beforeEach(() => {
  fake.reset();
});

describe("starting the engine anew", () => {
  const restarted = ["end", "engine/status"];

  // One that hangs answers nothing.
  test.each([
    ["at rest", engineStatus()],
    ["that is not known", undefined],
  ])("one %s is done without a question", async (_, status) => {
    expect(await restart(status)).toEqual(restarted);
    expect(fake.messages).toEqual(["The engine restarted (llama.cpp v0.4.0)."]);
  });

  test("one that quantises a model is done when the user gives that up", async () => {
    const status = engineStatus({ quantising: true });
    expect(await restart(status)).toEqual([]);
    expect(fake.messages).toEqual(["A model is being quantised. Restart the engine all the same?"]);
    expect(await restart(status, "Restart Engine")).toEqual(restarted);
  });
});
