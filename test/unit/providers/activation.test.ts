import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import manifest from "../../../package.json";
import { fake } from "./fake_vscode";

const started = vi.hoisted(() => ({ requests: [] as string[], views: [] as string[] }));

vi.mock("vscode", async () => {
  const base = await import("./fake_vscode");
  const nothing = { dispose: () => undefined };
  const event = () => nothing;
  return {
    ...base,
    version: "1.104.0",
    env: { appName: "test" },
    ConfigurationTarget: { Global: 1 },
    StatusBarAlignment: { Right: 2 },
    ThemeColor: Object,
    SymbolKind: {},
    LanguageModelTextPart: Object,
    DiagnosticSeverity: {},
    QuickPickItemKind: { Separator: -1 },
    lm: {},
    window: {
      ...base.window,
      createOutputChannel: () => ({ ...nothing, info: event, error: event }),
      createStatusBarItem: () => ({ ...nothing, show: () => undefined }),
      onDidChangeActiveTextEditor: event,
      onDidChangeTextEditorSelection: event,
      visibleTextEditors: [],
      registerWebviewViewProvider: (id: string) => {
        started.views.push(id);
        return nothing;
      },
    },
    workspace: {
      ...base.workspace,
      onDidChangeConfiguration: event,
      onDidChangeWorkspaceFolders: event,
      onDidDeleteFiles: event,
      onDidRenameFiles: event,
      onDidGrantWorkspaceTrust: event,
    },
  };
});

vi.mock("../../../src/engine/client/create_engine_client", () => ({
  createEngineClient: () => ({
    state: { kind: "stopped" },
    logFile: "",
    request: (method: string) => {
      started.requests.push(method);
      return Promise.resolve([]);
    },
    updateSettings: () => Promise.resolve(),
    on: () => ({ dispose: () => undefined }),
    onStateChanged: () => ({ dispose: () => undefined }),
    dispose: () => undefined,
  }),
}));

const { activate } = await import("../../../src/extension");

/** What a window remembers that has asked about the model and looked for a card. */
const asked: Partial<Record<string, unknown>> = {
  "nmos.firstRun.asked": true,
  "nmos.cuda.lookedIn": manifest.version,
};

/** A window of a user who was asked about the first model before, or not yet. */
function start(askedBefore: boolean): { dispose(): void }[] {
  fake.reset();
  started.requests = [];
  const subscriptions: { dispose(): void }[] = [];
  const memento = {
    get: (key: string, fallback: unknown) => (askedBefore ? asked[key] : undefined) ?? fallback,
    update: () => Promise.resolve(),
    keys: () => [],
  };
  const context: unknown = {
    subscriptions,
    extensionPath: "/extension",
    extensionUri: { path: "/extension" },
    extension: { id: "nmos.nmos", packageJSON: manifest },
    globalState: memento,
    workspaceState: memento,
  };
  activate(context as Parameters<typeof activate>[0]);
  return subscriptions;
}

describe("activation", () => {
  let subscriptions: { dispose(): void }[];
  beforeAll(() => {
    subscriptions = start(true);
  });

  test("registers every contributed command and no other", () => {
    const contributed = manifest.contributes.commands.map(({ command }) => command);
    expect([...fake.handlers.keys()].sort()).toEqual(contributed.sort());
  });

  test("registers every contributed view and ghost text", () => {
    expect(started.views).toEqual(manifest.contributes.views.nmos.map(({ id }) => id));
    expect(fake.inlineCompletions).toBeDefined();
  });

  test("asks nothing of the engine, which would start it", () => {
    expect(started.requests).toEqual([]);
  });

  afterAll(() => {
    for (const subscription of subscriptions.reverse()) subscription.dispose();
    expect([...fake.handlers.keys()]).toEqual([]);
    expect(fake.inlineCompletions).toBeUndefined();
  });
});

test("the first window of all looks whether a model is installed", () => {
  const subscriptions = start(false);
  expect(started.requests).toEqual(["models/list"]);
  for (const subscription of subscriptions) subscription.dispose();
});
