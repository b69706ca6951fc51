import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import type { CompletionToggle } from "../../../src/providers/completion_toggle";
import type { EngineView } from "../../../src/providers/engine_view";
import type { RecentFiles } from "../../../src/providers/recent_files";
import type { CheckPrefillParams, CompletionPrefillParams } from "../../../src/shared/protocol";
import { fake } from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

const { registerEditorLoop } = await import("../../../src/providers/editor_loop");

/** What was asked of the engine, as `reach: text before the cursor | text behind it`. */
const asked: string[] = [];
let connection = "running";
let availability = "on";
let loop: ReturnType<typeof registerEditorLoop>;

function start(): void {
  const engine: unknown = {
    request: (method: string, params: CompletionPrefillParams & CheckPrefillParams) => {
      const { reach, load, prefix, suffix, model, mainModel } = params;
      if (method === "completion/prefillCheck") asked.push(`for ${mainModel} to check ${model}: ${prefix}|${suffix}`);
      else asked.push(`${reach}${load ? ", loading" : ""}: ${prefix}|${suffix}`);
      return Promise.resolve({ promptTokens: 9, computedTokens: 1, computeMs: 1 });
    },
  };
  const view: unknown = {
    get connection() {
      return { kind: connection };
    },
  };
  const toggle: unknown = { availability: () => availability };
  const recent: unknown = { extracts: () => [] };
  loop = registerEditorLoop(
    engine as EngineClient,
    view as EngineView,
    toggle as CompletionToggle,
    recent as RecentFiles,
  );
}

beforeEach(() => {
  fake.reset();
  asked.length = 0;
  connection = "running";
  availability = "on";
  vi.useFakeTimers();
});

afterEach(() => {
  loop.dispose();
  vi.useRealTimers();
});

const wait = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);

describe("what is computed ahead", () => {
  test("the place of the cursor in a file that is opened", async () => {
    start();
    fake.show(fake.open("/ws/a.ts", "let a = 1;\n"), 4);
    await wait(1000);
    expect(asked).toEqual(["whole: let |a = 1;\n"]);
  });

  test("in the file that is open when the window starts", async () => {
    fake.show(fake.open("/ws/a.ts", "let a"), 5);
    start();
    await wait(1000);
    expect(asked).toEqual(["whole: let a|"]);
  });

  test("where the cursor stops, not where it passes", async () => {
    start();
    fake.show(fake.open("/ws/a.ts", "let a"), 0);
    for (const offset of [1, 2, 3]) {
      fake.moveTo(offset);
      await wait(50);
    }
    await wait(1000);
    expect(asked).toEqual(["whole: let| a"]);
  });

  test("the typed token at once, behind the cursor's new place, and the rest in a pause", async () => {
    start();
    fake.show(fake.open("/ws/a.ts", ""), 0);
    await wait(1000);
    asked.length = 0;
    fake.type("l");
    await wait(10);
    expect(asked).toEqual(["typed, loading: l|"]);
    await wait(1000);
    expect(asked).toEqual(["typed, loading: l|", "whole: l|"]);
  });

  test("last of all the place for the main model where that checks ghost text", async () => {
    fake.settings.set("nmos.completion.checkWithMainModel", true);
    fake.settings.set("nmos.chat.model", "main");
    start();
    fake.show(fake.open("/ws/a.ts", ""), 0);
    await wait(1000);
    expect(asked).toEqual(["whole: |", "for main to check auto: |"]);
    asked.length = 0;
    fake.type("l");
    await wait(10);
    expect(asked).toEqual(["typed, loading: l|"]);
  });

  test("nothing by looking at files while no engine runs, and a token once the user types", async () => {
    connection = "stopped";
    start();
    fake.show(fake.open("/ws/a.ts", ""), 0);
    await wait(1000);
    expect(asked).toEqual([]);
    fake.type("l");
    await wait(1000);
    expect(asked).toEqual(["typed, loading: l|"]);
  });

  test.each<[name: string, prepare: () => void]>([
    ["where ghost text is off", () => (availability = "off for language")],
    ["in files that are private", () => fake.settings.set("nmos.privacy.exclude", ["**/*.ts"])],
    ["in folders that are not trusted", () => (fake.trusted = false)],
    [
      "with several cursors",
      () => {
        fake.moveTo(0, 1);
      },
    ],
    [
      "in a window that is not in front",
      () => {
        fake.focusWindow(false);
      },
    ],
    [
      "with no file in front",
      () => {
        fake.show();
      },
    ],
  ])("nothing %s", async (_, prepare) => {
    start();
    fake.show(fake.open("/ws/a.ts", "let a"), 5);
    prepare();
    await wait(1000);
    expect(asked).toEqual([]);
  });

  test("the place of the cursor when the window is in front again", async () => {
    start();
    fake.show(fake.open("/ws/a.ts", "let a"), 5);
    fake.focusWindow(false);
    await wait(1000);
    fake.focusWindow(true);
    await wait(1000);
    expect(asked).toEqual(["whole: let a|"]);
  });

  test("nothing for edits in files that are not in front", async () => {
    start();
    const other = fake.open("/ws/b.ts", "let b");
    fake.show(fake.open("/ws/a.ts", "let a"), 5);
    await wait(1000);
    asked.length = 0;
    other.edit("b", "c");
    await wait(1000);
    expect(asked).toEqual([]);
  });
});
