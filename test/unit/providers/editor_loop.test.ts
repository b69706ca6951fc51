import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import type { CompletionToggle } from "../../../src/providers/completion_toggle";
import type { EngineView } from "../../../src/providers/engine_view";
import type { RecentFiles } from "../../../src/providers/recent_files";
import type { CheckPrefillParams, CompletionPrefillParams } from "../../../src/shared/completion";
import { fake, TextDocumentChangeReason } from "./fake_vscode";

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
      return Promise.resolve({ promptTokens: 9, computedTokens: 1, computeMs: 1, cancelled: false });
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

  test("where a word is selected, the place that it leaves when it is typed over", async () => {
    start();
    fake.show(fake.open("/ws/a.ts", "let a = b;"), 0);
    fake.select(4, 5);
    await wait(1000);
    expect(asked).toEqual(["whole: let | = b;"]);
  });

  test("nothing where lines are selected, until they are not any more", async () => {
    start();
    fake.show(fake.open("/ws/a.ts", "let a;\nlet b;\n"), 0);
    fake.select(0, 10);
    await wait(1000);
    expect(asked).toEqual([]);
    fake.moveTo(3);
    await wait(1000);
    expect(asked).toEqual(["whole: let| a;\nlet b;\n"]);
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

describe("what VS Code tells of an edit decides when ghost text may begin", () => {
  const text = "let a = fo;\nlet b = 2;\n";
  const begin = text.indexOf("fo");
  const end = text.length;
  const change = (rangeOffset: number, rangeLength: number, inserted: string) => ({
    rangeOffset,
    rangeLength,
    text: inserted,
  });

  beforeEach(async () => {
    start();
    fake.show(fake.open("/ws/a.ts", text), begin + 2);
    // The user types ten keys a second: it is a pause when the next one is late.
    for (let key = 0; key < 20; key++) {
      fake.type("x");
      await wait(100);
    }
    fake.edit([change(begin + 2, 20, "")], [begin + 2]);
    await wait(2000);
    asked.length = 0;
  });

  /** Milliseconds until it is a pause, looking for two seconds. */
  async function pauseAfter(): Promise<number> {
    const asked = Date.now();
    const pause = loop.pause(0, new AbortController().signal).then(() => Date.now() - asked);
    await wait(2000);
    return pause;
  }

  type Edit = Parameters<typeof fake.edit>;
  const rhythm = 100;
  const [undone, redone] = [TextDocumentChangeReason.Undo, TextDocumentChangeReason.Redo];
  const snippet = "for (const one of all) {\n  one();\n}";
  const composition: Edit[] = [
    [[change(begin + 2, 0, "n")], [begin + 3]],
    [[change(begin + 2, 1, "ni")], [begin + 4]],
    [[change(begin + 2, 2, "你")], [begin + 3]],
  ];
  test.each<[name: string, pause: number, isComputed: boolean, edits: Edit[]]>([
    ["a key", rhythm, true, [[[change(begin + 2, 0, "o")], [begin + 3]]]],
    ["Enter, with the indentation", rhythm, true, [[[change(begin + 2, 0, "\n    ")], [begin + 7]]]],
    [
      "Enter that takes the indentation of an empty line with it",
      rhythm,
      true,
      [[[change(begin + 2, 0, "\n    "), change(begin - 2, 4, "")], [begin + 3]]],
    ],
    ["a bracket that the editor closes", rhythm, true, [[[change(begin + 2, 0, "()")], [begin + 3]]]],
    ["a closing bracket typed over", rhythm, false, [[[change(begin + 2, 1, ";")], [begin + 3]]]],
    ["backspace", 300, false, [[[change(begin + 1, 1, "")], [begin + 1]]]],
    ["delete, where the cursor stays", 300, false, [[[change(begin + 2, 1, "")]]]],
    ["undo", 500, false, [[[change(begin + 1, 1, "")], [begin + 1], undone]]],
    ["redo", 500, false, [[[change(begin + 2, 0, "o")], [begin + 3], redone]]],
    ["a paste", 0, true, [[[change(begin + 2, 0, "ur(five, six, seven)")], [begin + 22]]]],
    ["a snippet", 0, true, [[[change(begin, 2, snippet)], [begin + 11]]]],
    ["an item of the suggest widget", rhythm, false, [[[change(begin, 2, "forEach")], [begin + 7]]]],
    ["a composition", rhythm, false, composition],
    ["formatting on save", 500, false, [[[change(end, 0, "\n"), change(3, 0, " ")], [begin + 3]]]],
    ["what another program writes", 500, false, [[[change(end, 0, "let c;\n")]]]],
  ])("%s: after %i ms", async (_, pause, isComputed, edits) => {
    for (const edit of edits) fake.edit(...edit);
    expect(await pauseAfter()).toBe(pause);
    expect(asked.some((one) => one.startsWith("typed"))).toBe(isComputed);
    expect(asked.at(-1)).toMatch(/^whole/);
  });

  test("a paste over what is selected: at once", async () => {
    const two = text.indexOf("2");
    fake.select(two, two + 1);
    fake.edit([change(two, 1, "another(one, two)")], [two + 17]);
    expect(await pauseAfter()).toBe(0);
    expect(asked[0]).toMatch(/^typed/);
  });

  test("a key at two cursors: never, and nothing is computed", async () => {
    fake.moveTo(begin + 2, begin);
    fake.edit([change(begin + 2, 0, "o"), change(begin, 0, "o")], [begin + 4, begin + 1]);
    await wait(5000);
    expect(asked).toEqual([]);
  });
});
