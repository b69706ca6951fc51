import { beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineView } from "../../../src/providers/engine_view";
import { EventEmitter, fake, type FakeDocument } from "./fake_vscode";

interface Item {
  label: string;
  command?: string;
  arguments?: string[];
}

const bar = vi.hoisted(() => ({
  item: { text: "", tooltip: "", show: () => undefined, dispose: () => undefined },
  editor: undefined as { document: unknown } | undefined,
  menu: [] as unknown[],
}));

vi.mock("vscode", async () => {
  const base = await import("./fake_vscode");
  return {
    ...base,
    StatusBarAlignment: { Right: 2 },
    ThemeColor: Object,
    QuickPickItemKind: { Separator: -1 },
    window: {
      ...base.window,
      get activeTextEditor() {
        return bar.editor;
      },
      createStatusBarItem: () => bar.item,
      onDidChangeActiveTextEditor: () => ({ dispose: () => undefined }),
      showQuickPick: (items: unknown[]) => {
        bar.menu = items;
        return Promise.resolve(items[0]);
      },
    },
    workspace: { ...base.workspace, onDidGrantWorkspaceTrust: () => ({ dispose: () => undefined }) },
  };
});

const { registerCompletionToggle } = await import("../../../src/providers/completion_toggle");
const { registerStatusBar } = await import("../../../src/providers/status_bar");

let document: FakeDocument;

beforeEach(() => {
  fake.reset();
  document = fake.open("/ws/a.py", "a\n", "python");
  bar.editor = { document };
  const view: unknown = {
    connection: { kind: "stopped" },
    suggesting: false,
    onChanged: new EventEmitter<undefined>().event,
  };
  registerStatusBar(view as EngineView, registerCompletionToggle());
});

describe("the status bar follows what keeps ghost text from coming", () => {
  function check(what: string, act: () => void, tooltip: string): void {
    test(what, () => {
      expect(bar.item.tooltip).toContain("Ready");
      act();
      expect(bar.item.tooltip).toContain(tooltip);
      expect(bar.item.text).toContain("$(circle-slash)");
    });
  }

  check(
    "switched off",
    () => {
      fake.change("nmos.completion.enabled", false);
    },
    "Ghost text is off.",
  );
  check(
    "switched off for the language",
    () => {
      fake.change("nmos.completion.languages", { "*": true, python: false });
    },
    "off for this language",
  );
  check(
    "another language",
    () => {
      document.changeLanguage("plaintext");
    },
    "off for this language",
  );
  check(
    "switched off in VS Code",
    () => {
      fake.change("editor.inlineSuggest.enabled", false);
    },
    "editor.inlineSuggest.enabled",
  );

  test("and that it is gone", () => {
    fake.change("editor.inlineSuggest.enabled", false);
    fake.change("editor.inlineSuggest.enabled", true);
    expect(bar.item.tooltip).toContain("Ready");
  });

  test("the menu leads to VS Code's setting", async () => {
    const opened: unknown[] = [];
    fake.handlers.set("workbench.action.openSettings", (query) => opened.push(query));
    await fake.handlers.get("nmos.showMenu")?.();
    expect((bar.menu[0] as Item).command).not.toBe("workbench.action.openSettings");
    fake.change("editor.inlineSuggest.enabled", false);
    await fake.handlers.get("nmos.showMenu")?.();
    expect(opened).toEqual(["editor.inlineSuggest.enabled"]);
  });
});
