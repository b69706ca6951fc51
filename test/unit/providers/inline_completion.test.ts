import { beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import type { CompletionToggle } from "../../../src/providers/completion_toggle";
import type { EngineView } from "../../../src/providers/engine_view";
import type { RecentFiles } from "../../../src/providers/recent_files";
import type { CompletionParams, Confidence } from "../../../src/shared/completion";
import {
  EventEmitter,
  fake,
  InlineCompletionTriggerKind,
  Position,
  Range,
  type InlineCompletionItem,
} from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

const { registerInlineCompletion } = await import("../../../src/providers/inline_completion");

interface Provider {
  provideInlineCompletionItems(
    document: unknown,
    position: Position,
    context: { triggerKind: number; selectedCompletionInfo?: { range: Range; text: string } | undefined },
    token: unknown,
  ): Promise<InlineCompletionItem[] | undefined>;
}

const invoke = { triggerKind: InlineCompletionTriggerKind.Invoke };

class Bench {
  readonly asked: CompletionParams[] = [];
  readonly askedAhead: CompletionParams[] = [];
  readonly checks: CompletionParams[] = [];
  /** What the main model says. */
  checked: () => string = () => "checked";
  readonly failures: string[] = [];
  /** The shortest pauses that were waited for. */
  readonly pauses: number[] = [];
  /** Of every request that ended, whether it brought an answer. */
  readonly answered: boolean[] = [];
  availability = "on";
  answer: () => string = () => "answer";
  confidence: Confidence | null = null;
  connection = "running";
  /** What the loop does when a suggestion was seen. */
  foresee: () => Promise<void> = () => Promise.reject(new Error("nothing is foreseen"));
  readonly switched = new EventEmitter<undefined>();

  constructor() {
    fake.reset();
    const engine: unknown = {
      request: (method: string, params: CompletionParams, { onProgress }: { onProgress?: (text: string) => void }) => {
        const lists = new Map([
          ["completion/ahead", this.askedAhead],
          ["completion/check", this.checks],
        ]);
        (lists.get(method) ?? this.asked).push(params);
        return Promise.resolve().then(() => {
          const text = method === "completion/check" ? this.checked() : this.answer();
          if (text !== "") onProgress?.(text);
          return {
            text,
            confidence: this.confidence,
            finish: "stop",
            usage: { queuedMs: 1, prefillMs: 2, decodeMs: 3 },
          };
        });
      },
    };
    const view: unknown = {
      connection: { kind: this.connection },
      watchSuggestion: () => ({
        succeeded: () => undefined,
        failed: (error: Error) => this.failures.push(error.message),
        ended: () => undefined,
      }),
    };
    const toggle: unknown = { availability: () => this.availability, onChanged: this.switched.event };
    const recent: unknown = { extracts: (_: unknown, count: number) => [{ path: "b.ts", text: `${count} files` }] };
    registerInlineCompletion(
      engine as EngineClient,
      view as EngineView,
      toggle as CompletionToggle,
      recent as RecentFiles,
      {
        pause: (least, signal) => {
          this.pauses.push(least);
          return Promise.resolve(!signal.aborted);
        },
        suggesting: () => (answerMs) => {
          this.answered.push(answerMs !== undefined);
        },
        foreseeWith: (foresee) => {
          this.foresee = () => foresee(new AbortController().signal);
        },
      },
    );
  }

  /** What is suggested at `|` in the text, and what was asked for it. */
  async at(
    marked: string,
    context: Parameters<Provider["provideInlineCompletionItems"]>[2] = invoke,
    path = "/ws/a.ts",
  ) {
    const offset = marked.indexOf("|");
    const text = marked.replace("|", "");
    const languageId = "typescript";
    const [cell] = path.endsWith(".ipynb") ? fake.openNotebook(path, [{ text, languageId }]) : [];
    const document = cell ?? fake.open(path, text, languageId);
    const token = {
      isCancellationRequested: false,
      onCancellationRequested: () => ({ dispose: () => undefined }),
    };
    const provider = fake.inlineCompletions as Provider;
    const items = await provider.provideInlineCompletionItems(document, document.positionAt(offset), context, token);
    return items?.[0];
  }
}

describe("the ghost text provider", () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });

  test("asks with the text on both sides and inserts at the cursor", async () => {
    const item = await bench.at("let a = |;\nlet b;");
    expect(item?.insertText).toBe("answer");
    expect(item?.range).toEqual(new Range(new Position(0, 8), new Position(0, 8)));
    expect(bench.asked).toEqual([
      {
        model: "auto",
        repository: "ws",
        path: "a.ts",
        languageId: "typescript",
        prefix: "let a = ",
        suffix: ";\nlet b;",
        extracts: [{ path: "b.ts", text: "4 files" }],
        lines: "auto",
        maxTokens: 96,
      },
    ]);
  });

  test("a file of no workspace folder has no project", async () => {
    await bench.at("a|", invoke, "/elsewhere/a.ts");
    expect(bench.asked[0]).not.toHaveProperty("repository");
  });

  test("settings reach the engine", async () => {
    fake.settings.set("nmos.completion.model", "m");
    fake.settings.set("nmos.completion.multiline", "never");
    fake.settings.set("nmos.completion.maxTokens", 9_999);
    fake.settings.set("nmos.completion.recentFiles", 0);
    await bench.at("a|");
    expect(bench.asked[0]).toMatchObject({ model: "m", lines: "single", maxTokens: 512 });
    expect(bench.asked[0]?.extracts).toEqual([{ path: "b.ts", text: "0 files" }]);
  });

  test("goes on from the item selected in the suggest widget", async () => {
    const selected = { range: new Range(new Position(0, 8), new Position(0, 10)), text: "log(" };
    const item = await bench.at("console.lo|;", { ...invoke, selectedCompletionInfo: selected });
    expect(bench.asked[0]).toMatchObject({ prefix: "console.log(", suffix: ";" });
    expect(item?.insertText).toBe("log(answer");
    expect(item?.range).toEqual(selected.range);
  });

  test("what was suggested is there at once while it is typed", async () => {
    await bench.at("a|");
    const item = await bench.at("aans|");
    expect(item?.insertText).toBe("wer");
    expect(bench.asked).toHaveLength(1);
  });

  test("a switched setting forgets what was suggested", async () => {
    await bench.at("a|");
    bench.switched.fire(undefined);
    await bench.at("a|");
    expect(bench.asked).toHaveLength(2);
  });

  test("waits for a pause of the loop, but not when asked for, and tells it of the answer", async () => {
    await bench.at("a|");
    expect(bench.pauses).toEqual([]);
    fake.settings.set("nmos.completion.debounce", 70);
    await bench.at("b|", { triggerKind: InlineCompletionTriggerKind.Automatic });
    expect(bench.pauses).toEqual([70]);
    bench.answer = () => {
      throw new Error("engine died");
    };
    await bench.at("c|");
    expect(bench.answered).toEqual([true, true, false]);
  });

  test("hides what is probably wrong, as the setting says, unless asked for", async () => {
    const automatic = { triggerKind: InlineCompletionTriggerKind.Automatic };
    bench.confidence = { tokens: 3, mean: -1, least: -2 };
    expect(await bench.at("a|", automatic)).toBeUndefined();
    expect(await bench.at("a|")).toBeDefined();
    fake.settings.set("nmos.completion.hideUnlikely", "off");
    expect(await bench.at("b|", automatic)).toBeDefined();
  });

  test("Escape hides a suggestion, which is then not shown there again", async () => {
    const automatic = { triggerKind: InlineCompletionTriggerKind.Automatic };
    await bench.at("a|", automatic);
    fake.show(fake.open("/ws/a.ts", "a", "typescript"), 1);
    await fake.handlers.get("nmos.completion.reject")?.();
    expect(fake.executed).toEqual(["editor.action.inlineSuggest.hide"]);
    expect(await bench.at("a|", automatic)).toBeUndefined();
    expect(await bench.at("a|")).toBeDefined();
  });

  test("what comes after the suggestion is computed at the place it is shown, unless it is switched off", async () => {
    await bench.at("a|");
    await bench.foresee();
    fake.show(fake.open("/ws/a.ts", "ab", "typescript"), 0);
    await bench.foresee();
    expect(bench.askedAhead).toEqual([]);
    await bench.at("a|");
    fake.show(fake.open("/ws/a.ts", "a", "typescript"), 1);
    bench.availability = "snoozed";
    await bench.foresee();
    expect(bench.askedAhead).toEqual([]);
    bench.availability = "on";
    await bench.foresee();
    expect(bench.askedAhead.map(({ prefix }) => prefix)).toEqual(["aanswer"]);
  });

  describe("with an item of the suggest widget in focus", () => {
    const selected = { range: new Range(new Position(0, 8), new Position(0, 10)), text: "log(" };
    beforeEach(async () => {
      await bench.at("console.lo|;", { ...invoke, selectedCompletionInfo: selected });
      fake.show(fake.documents.get("file:/ws/a.ts"), 10);
    });

    test("what comes after the suggestion is what comes after both", async () => {
      await bench.foresee();
      expect(bench.askedAhead.map(({ prefix }) => prefix)).toEqual(["console.log(answer"]);
    });

    test("the main model checks the suggestion behind it", async () => {
      fake.settings.set("nmos.completion.checkWithMainModel", true);
      await bench.foresee();
      expect(bench.checks).toMatchObject([{ prefix: "console.log(", suggestion: "answer" }]);
    });

    test("Escape hides the suggestion behind it", async () => {
      await fake.handlers.get("nmos.completion.reject")?.();
      const automatic = { triggerKind: InlineCompletionTriggerKind.Automatic };
      expect(await bench.at("console.lo|;", { ...automatic, selectedCompletionInfo: selected })).toBeUndefined();
    });

    test.each<[name: string, change: () => void]>([
      [
        "the text",
        () => {
          fake.type("g");
        },
      ],
      [
        "the place",
        () => {
          fake.moveTo(0);
        },
      ],
      [
        "the settings",
        () => {
          bench.switched.fire(undefined);
        },
      ],
    ])("it is over with that when %s changes", async (_, change) => {
      change();
      await bench.foresee();
      expect(bench.askedAhead).toEqual([]);
    });
  });

  describe("the main model checks the suggestion", () => {
    const [hide, trigger] = ["editor.action.inlineSuggest.hide", "editor.action.inlineSuggest.trigger"];
    const commands: unknown[] = [];
    const automatic = { triggerKind: InlineCompletionTriggerKind.Automatic };
    const suggest = async () => {
      await bench.at("a|", automatic);
      fake.show(fake.open("/ws/a.ts", "a", "typescript"), 1);
      await bench.foresee();
    };
    beforeEach(() => {
      fake.settings.set("nmos.completion.checkWithMainModel", true);
      fake.settings.set("nmos.chat.model", "main");
      commands.length = 0;
      fake.handlers.set("runCommands", (given) => commands.push(given));
    });

    test("and VS Code asks for what that one suggests", async () => {
      await suggest();
      expect(bench.checks).toMatchObject([{ model: "auto", mainModel: "main", suggestion: "answer", prefix: "a" }]);
      expect(commands).toEqual([{ commands: [hide, trigger] }]);
      expect((await bench.at("a|"))?.insertText).toBe("checked");
      expect(bench.asked).toHaveLength(1);
    });

    test("and where that one suggests nothing, nothing is shown", async () => {
      bench.checked = () => "";
      await suggest();
      expect(commands).toEqual([{ commands: [hide] }]);
      expect(await bench.at("a|")).toBeUndefined();
    });

    test("and what comes after it is computed ahead then", async () => {
      bench.checked = () => "answer";
      await suggest();
      expect(commands).toEqual([]);
      expect(bench.askedAhead.map(({ prefix }) => prefix)).toEqual(["aanswer"]);
    });

    test("and when it fails the suggestion stays", async () => {
      bench.checked = () => {
        throw new Error("no memory");
      };
      await suggest();
      expect(commands).toEqual([]);
      expect(bench.askedAhead).toHaveLength(1);
      expect(bench.failures).toEqual([]);
    });

    test("but not in a document that has changed meanwhile", async () => {
      bench.checked = () => {
        fake.editor?.document.edit("a", "b");
        fake.editor?.document.edit("b", "a");
        return "checked";
      };
      await suggest();
      expect(bench.checks).toHaveLength(1);
      expect(commands).toEqual([]);
    });

    test("unless that is switched off, as it is by default", async () => {
      fake.settings.delete("nmos.completion.checkWithMainModel");
      await suggest();
      expect(bench.checks).toEqual([]);
      expect(bench.askedAhead).toHaveLength(1);
    });
  });

  test("nothing to suggest shows nothing", async () => {
    bench.answer = () => "";
    expect(await bench.at("a|")).toBeUndefined();
  });

  test("a failure shows nothing and tells the status bar", async () => {
    bench.answer = () => {
      throw new Error("engine died");
    };
    expect(await bench.at("a|")).toBeUndefined();
    expect(bench.failures).toEqual(["engine died"]);
    expect(fake.messages).toEqual([]);
  });

  function checkSilent(name: string, prepare: () => void, path?: string): void {
    test(`asks nothing: ${name}`, async () => {
      prepare();
      const context = { triggerKind: InlineCompletionTriggerKind.Automatic };
      expect(await bench.at("a|", context, path)).toBeUndefined();
      expect(bench.asked).toEqual([]);
    });
  }

  checkSilent("switched off", () => (bench.availability = "off"));
  checkSilent("off for the language", () => (bench.availability = "off for language"));
  checkSilent("snoozed", () => (bench.availability = "snoozed"));
  checkSilent("untrusted workspace", () => (fake.trusted = false));
  checkSilent("private file", () => undefined, "/ws/.env");
  checkSilent("hidden file", () => fake.settings.set("files.exclude", { "**/.git": true }), "/ws/.git/hook");

  checkSilent("private notebook", () => fake.settings.set("nmos.privacy.exclude", ["nb/**"]), "/ws/nb/a.ipynb");

  test("a cell goes by the name of its notebook", async () => {
    expect(await bench.at("a|", invoke, "/ws/nb/a.ipynb")).toBeDefined();
    expect(bench.asked[0]).toMatchObject({ repository: "ws", path: "nb/a.ipynb" });
  });

  test.each<[availability: string, isShown: boolean, hidden: number]>([
    ["off", true, 1],
    ["snoozed", true, 1],
    ["on", true, 0],
    ["off", false, 0],
  ])("%s, with ghost text on the screen: %s, hides so many: %d", async (availability, isShown, hidden) => {
    if (isShown) await bench.at("a|");
    bench.availability = availability;
    bench.switched.fire(undefined);
    expect(fake.executed.filter((id) => id === "editor.action.inlineSuggest.hide").length).toBe(hidden);
  });

  test("asked for by hand it works while snoozed, but not while off", async () => {
    bench.availability = "snoozed";
    expect(await bench.at("a|")).toBeDefined();
    bench.availability = "off";
    expect(await bench.at("b|")).toBeUndefined();
  });
});
