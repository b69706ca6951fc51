import { beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineView } from "../../../src/providers/engine_view";
import type { EngineStatus, Spill } from "../../../src/shared/engine_status";
import { engineStatus, loadedModel } from "../support/engine_status";
import { EventEmitter, fake } from "./fake_vscode";

const answers = vi.hoisted(() => ({ next: [] as (string | undefined)[] }));

vi.mock("vscode", async () => {
  const base = await import("./fake_vscode");
  const showWarningMessage = (text: string) => {
    base.fake.messages.push(text);
    return Promise.resolve(answers.next.shift());
  };
  return { ...base, window: { ...base.window, showWarningMessage } };
});

const { registerSpillNotice } = await import("../../../src/providers/spill_notice");

const mib = 2 ** 20;

function withSpills(...spills: (Partial<Spill> | null)[]): EngineStatus {
  const models = spills.map((spill, index) =>
    loadedModel({
      name: `Model ${String(index)}`,
      spill: spill && { occasion: 1, timesAsLong: 9.54, givenBackBytes: 500 * mib, ...spill },
    }),
  );
  return engineStatus({ models });
}

/** What a window says when these statuses come one after the other. */
function told(...statuses: EngineStatus[]): string[] {
  const changed = new EventEmitter<undefined>();
  const view = { status: undefined as EngineStatus | undefined, onChanged: changed.event };
  const registered = registerSpillNotice(view as unknown as EngineView);
  changed.fire(undefined);
  for (const status of statuses) {
    view.status = status;
    changed.fire(undefined);
  }
  registered.dispose();
  return fake.messages;
}

beforeEach(() => {
  fake.reset();
  answers.next = [];
});

describe("graphics memory that the system moved to RAM is told", () => {
  test("in words, with what was done and what to do", () => {
    expect(told(withSpills({}))).toEqual([
      "Model 0 suddenly took 9.5 times as long for every step: the system seems to have moved graphics memory to RAM, because programs want more than the card has. NMOS gave 500 MiB of it back and computes with that part on the processor. Close programs that use the graphics card, or lower nmos.engine.vramLimit.",
    ]);
  });

  test("when the system itself says so", () => {
    expect(told(withSpills({ timesAsLong: null }))[0]).toMatch(/^The system grants Model 0 less graphics memory/);
  });

  test("once on every occasion", () => {
    const [first, second] = [withSpills({}), withSpills({ occasion: 2 })];
    expect(
      told(first, first, withSpills({ givenBackBytes: 900 * mib }), withSpills(null), second, second),
    ).toHaveLength(2);
  });

  test("of the latest of several models", () => {
    expect(told(withSpills({ occasion: 1 }, { occasion: 2 }))).toEqual([expect.stringMatching(/^Model 1 /)]);
  });

  test("by every host anew", () => {
    expect(told(withSpills({}), { ...withSpills({}), hostPid: 8 })).toHaveLength(2);
  });

  test.each<[answer: string, command: string]>([
    ["Limit Graphics Memory", "workbench.action.openSettings"],
    ["Show Memory", "nmos.showMemory"],
  ])("with a way: %s", async (answer, command) => {
    const executed: unknown[] = [];
    fake.handlers.set(command, (argument) => executed.push(argument ?? command));
    answers.next = [answer];
    told(withSpills({}));
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(executed).toEqual([command === "nmos.showMemory" ? command : "nmos.engine.vramLimit"]);
  });
});
