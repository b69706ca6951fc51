/**
 * The part of VS Code's API that the tests of the providers need, in memory: documents, commands, tabs of diffs,
 * messages, progress. `vi.mock("vscode", () => import("./fake_vscode"))` puts it in place.
 */

type Listener<T> = (value: T) => unknown;

export class EventEmitter<T> {
  private readonly listeners = new Set<Listener<T>>();

  readonly event = (listener: Listener<T>): { dispose(): void } => {
    this.listeners.add(listener);
    return { dispose: () => this.listeners.delete(listener) };
  };

  fire(value: T): void {
    for (const listener of this.listeners) listener(value);
  }

  dispose(): void {
    this.listeners.clear();
  }
}

export class Uri {
  private constructor(
    readonly scheme: string,
    readonly path: string,
    readonly query: string,
  ) {}

  static from({ scheme, path, query = "" }: { scheme: string; path: string; query?: string }): Uri {
    return new Uri(scheme, path, query);
  }

  /** What `toString` wrote. */
  static parse(text: string): Uri {
    const [, scheme = "", path = "", query = ""] = /^([^:]*):([^?]*)\??(.*)$/.exec(text) ?? [];
    return new Uri(scheme, path, query);
  }

  static file(path: string): Uri {
    return new Uri("file", path, "");
  }

  static joinPath({ scheme, path, query }: Uri, ...segments: string[]): Uri {
    return new Uri(scheme, [path, ...segments].join("/"), query);
  }

  toString(): string {
    return `${this.scheme}:${this.path}${this.query === "" ? "" : `?${this.query}`}`;
  }
}

export class Position {
  constructor(
    readonly line: number,
    readonly character: number,
  ) {}
}

export class Range {
  constructor(
    readonly start: Position,
    readonly end: Position,
  ) {}

  get isSingleLine(): boolean {
    return this.start.line === this.end.line;
  }
}

/** Forwards: the cursor is at its end. */
export class Selection extends Range {
  get active(): Position {
    return this.end;
  }

  get isEmpty(): boolean {
    return this.isSingleLine && this.start.character === this.end.character;
  }
}

export class InlineCompletionItem {
  constructor(
    readonly insertText: string,
    readonly range: Range,
  ) {}
}

export class TabInputTextDiff {
  constructor(
    readonly original: Uri,
    readonly modified: Uri,
  ) {}
}

export class WorkspaceEdit {
  readonly replacements: { uri: Uri; range: Range; text: string }[] = [];

  replace(uri: Uri, range: Range, text: string): void {
    this.replacements.push({ uri, range, text });
  }
}

export const InlineCompletionTriggerKind = { Invoke: 0, Automatic: 1 } as const;
export const TextDocumentChangeReason = { Undo: 1, Redo: 2 } as const;
export const EndOfLine = { LF: 1, CRLF: 2 } as const;
export const TextEditorRevealType = { InCenterIfOutsideViewport: 2 } as const;
export const ProgressLocation = { Notification: 15, Window: 10 } as const;

export class FakeDocument {
  constructor(
    readonly uri: Uri,
    public text: string,
    public languageId = "plaintext",
  ) {}

  /** Of the text; grows with every edit. */
  version = 1;

  get eol(): number {
    return this.text.includes("\r\n") ? EndOfLine.CRLF : EndOfLine.LF;
  }

  /** Replaces the first `from` and tells VS Code's listeners, as typing does. */
  edit(from: string, to: string): void {
    const change = { rangeOffset: this.text.indexOf(from), rangeLength: from.length, text: to };
    this.text = this.text.replace(from, () => to);
    this.version += 1;
    documentChanged.fire({ document: this, contentChanges: [change] });
  }

  /** As VS Code does it: closes the document and opens it again. */
  changeLanguage(languageId: string): void {
    this.languageId = languageId;
    documentOpened.fire(this);
  }

  get lineCount(): number {
    return this.text.split("\n").length;
  }

  lineAt(line: number): { text: string; range: Range } {
    const text = this.text.split("\n")[line] ?? "";
    return { text, range: new Range(new Position(line, 0), new Position(line, text.length)) };
  }

  getText(range?: Range): string {
    return range ? this.text.slice(this.offsetAt(range.start), this.offsetAt(range.end)) : this.text;
  }

  offsetAt({ line, character }: Position): number {
    const before = this.text.split("\n").slice(0, line).join("\n");
    return before.length + (line > 0 ? 1 : 0) + character;
  }

  positionAt(offset: number): Position {
    const lines = this.text.slice(0, Math.max(0, offset)).split("\n");
    return new Position(lines.length - 1, lines.at(-1)?.length ?? 0);
  }
}

function editorOf(document: FakeDocument, offsets: number[]): FakeEditor {
  const selections = offsets.map((offset) => new Selection(document.positionAt(offset), document.positionAt(offset)));
  return { document, selection: selections[0] ?? new Selection(new Position(0, 0), new Position(0, 0)), selections };
}

interface Notebook {
  uri: Uri;
  getCells(): { document: FakeDocument }[];
}

interface ContentChange {
  rangeOffset: number;
  rangeLength: number;
  text: string;
}

interface Change {
  document: FakeDocument;
  contentChanges: ContentChange[];
  /** Only of what was undone or redone. */
  reason?: number | undefined;
}

interface ConfigurationChange {
  /** Whether the section is the setting that has changed or one above it. */
  affectsConfiguration(section: string): boolean;
}

/** An editor with its cursors; the first one is where the user types. */
export interface FakeEditor {
  document: FakeDocument;
  selection: Selection;
  selections: Selection[];
}

interface Tab {
  input: TabInputTextDiff;
}

/** What the tests look at and steer. */
export const fake = {
  documents: new Map<string, FakeDocument>(),
  handlers: new Map<string, (...args: unknown[]) => unknown>(),
  context: new Map<string, unknown>(),
  tabs: [] as Tab[],
  /** Commands that were executed. */
  executed: [] as string[],
  notebooks: [] as Notebook[],
  messages: [] as string[],
  cancellation: new EventEmitter<undefined>(),
  contents: new Map<string, (uri: Uri) => string>(),
  /** Settings by full name that differ from their defaults. */
  settings: new Map<string, unknown>(),
  trusted: true,
  inlineCompletions: undefined as unknown,
  /** What the user answers in an input box; undefined: Escape. */
  input: (): Promise<string | undefined> => Promise.resolve(undefined),
  editor: undefined as FakeEditor | undefined,

  open(path: string, text: string, languageId?: string): FakeDocument {
    const document = new FakeDocument(Uri.file(path), text, languageId);
    fake.documents.set(document.uri.toString(), document);
    return document;
  },

  reset(): void {
    for (const collection of [fake.documents, fake.handlers, fake.context, fake.contents, fake.settings])
      collection.clear();
    fake.tabs = [];
    fake.executed = [];
    fake.notebooks = [];
    fake.messages = [];
    fake.trusted = true;
    fake.editor = undefined;
    fake.cancellation = new EventEmitter();
    fake.input = () => Promise.resolve(undefined);
  },

  /** Sets a setting by its full name and tells VS Code's listeners; undefined takes it away. */
  change(name: string, value: unknown): void {
    if (value === undefined) fake.settings.delete(name);
    else fake.settings.set(name, value);
    configurationChanged.fire({
      affectsConfiguration: (section) => name === section || name.startsWith(`${section}.`),
    });
  },

  /** Brings a document to the front, with cursors at these offsets; without one, none is in front. */
  show(document?: FakeDocument, ...offsets: number[]): void {
    fake.editor = document && editorOf(document, offsets);
    editorChanged.fire(fake.editor);
  },

  /** Moves the cursors of the editor in front. */
  moveTo(...offsets: number[]): void {
    if (!fake.editor) throw new Error("there is no editor in front");
    const { selection, selections } = editorOf(fake.editor.document, offsets);
    Object.assign(fake.editor, { selection, selections });
    selectionChanged.fire({ textEditor: fake.editor });
  },

  /** Selects text in the editor in front. */
  select(from: number, to: number): void {
    if (!fake.editor) throw new Error("there is no editor in front");
    const { document } = fake.editor;
    const selection = new Selection(document.positionAt(from), document.positionAt(to));
    Object.assign(fake.editor, { selection, selections: [selection] });
    selectionChanged.fire({ textEditor: fake.editor });
  },

  /** Types at the cursor: the text changes first, then the cursor moves. */
  type(text: string): void {
    if (!fake.editor) throw new Error("there is no editor in front");
    const { document, selection } = fake.editor;
    const at = document.offsetAt(selection.active);
    fake.edit([{ rangeOffset: at, rangeLength: 0, text }], [at + text.length]);
  },

  /**
   * Edits the document in front in several places at once: the text changes first, last place first, then the cursors move,
   * where they do.
   */
  edit(contentChanges: ContentChange[], cursors?: number[], reason?: number): void {
    if (!fake.editor) throw new Error("there is no editor in front");
    const { document } = fake.editor;
    for (const { rangeOffset, rangeLength, text } of contentChanges) {
      document.text = document.text.slice(0, rangeOffset) + text + document.text.slice(rangeOffset + rangeLength);
    }
    document.version += 1;
    documentChanged.fire({ document, contentChanges, reason });
    if (cursors) fake.moveTo(...cursors);
  },

  /** Tells that a file was deleted, or has another name now. */
  removeFile(path: string, newPath?: string): void {
    const oldUri = Uri.file(path);
    if (newPath === undefined) filesDeleted.fire({ files: [oldUri] });
    else filesRenamed.fire({ files: [{ oldUri, newUri: Uri.file(newPath) }] });
  },

  focusWindow(focused: boolean): void {
    windowChanged.fire({ focused });
  },

  /** A notebook with these cells. */
  openNotebook(path: string, cells: { text: string; languageId: string }[]): FakeDocument[] {
    const documents = cells.map(
      ({ text, languageId }, index) =>
        new FakeDocument(
          Uri.from({ scheme: "vscode-notebook-cell", path, query: `W${String(index)}` }),
          text,
          languageId,
        ),
    );
    fake.notebooks.push({ uri: Uri.file(path), getCells: () => documents.map((document) => ({ document })) });
    return documents;
  },

  /** The text of the right side of the open diff. */
  proposed(): string | undefined {
    const uri = fake.tabs[0]?.input.modified;
    return uri && fake.contents.get(uri.scheme)?.(uri);
  },
};

const documentChanged = new EventEmitter<Change>();
const documentOpened = new EventEmitter<FakeDocument>();
const configurationChanged = new EventEmitter<ConfigurationChange>();
const editorChanged = new EventEmitter<FakeEditor | undefined>();
const selectionChanged = new EventEmitter<{ textEditor: FakeEditor }>();
const filesDeleted = new EventEmitter<{ files: Uri[] }>();
const filesRenamed = new EventEmitter<{ files: { oldUri: Uri; newUri: Uri }[] }>();
const windowChanged = new EventEmitter<{ focused: boolean }>();
const tabsChanged = new EventEmitter<{ opened: Tab[]; closed: Tab[]; changed: Tab[] }>();

export const commands = {
  registerCommand(id: string, handler: (...args: unknown[]) => unknown): { dispose(): void } {
    if (fake.handlers.has(id)) throw new Error(`command '${id}' already exists`);
    fake.handlers.set(id, handler);
    return { dispose: () => fake.handlers.delete(id) };
  },
  async executeCommand(id: string, ...args: unknown[]): Promise<unknown> {
    fake.executed.push(id);
    if (id === "setContext") fake.context.set(String(args[0]), args[1]);
    if (id === "vscode.diff") fake.tabs.push({ input: new TabInputTextDiff(args[0] as Uri, args[1] as Uri) });
    return await fake.handlers.get(id)?.(...args);
  },
};

export const languages = {
  registerInlineCompletionItemProvider(_: unknown, provider: unknown): { dispose(): void } {
    fake.inlineCompletions = provider;
    return { dispose: () => (fake.inlineCompletions = undefined) };
  },
};

/** Always the same objects. */
const workspaceFolders = ["file", "memfs"].map((scheme) => ({ uri: Uri.from({ scheme, path: "/ws" }), name: "ws" }));

export const workspace = {
  get isTrusted(): boolean {
    return fake.trusted;
  },
  getConfiguration(section?: string) {
    const nameOf = (key: string): string => (section === undefined ? key : `${section}.${key}`);
    return {
      get: (key: string) => fake.settings.get(nameOf(key)),
      inspect: (key: string) => ({ globalValue: fake.settings.get(nameOf(key)) }),
    };
  },
  get notebookDocuments(): Notebook[] {
    return fake.notebooks;
  },
  onDidChangeTextDocument: documentChanged.event,
  onDidChangeConfiguration: configurationChanged.event,
  onDidOpenTextDocument: documentOpened.event,
  onDidDeleteFiles: filesDeleted.event,
  onDidRenameFiles: filesRenamed.event,
  getWorkspaceFolder: ({ scheme, path }: Uri) =>
    path.startsWith("/ws/") ? workspaceFolders.find(({ uri }) => uri.scheme === scheme) : undefined,
  asRelativePath: (uri: Uri) => uri.path.replace(/^\/ws\//, ""),
  registerTextDocumentContentProvider(
    scheme: string,
    provider: { provideTextDocumentContent(uri: Uri): string },
  ): { dispose(): void } {
    fake.contents.set(scheme, (uri) => provider.provideTextDocumentContent(uri));
    return { dispose: () => fake.contents.delete(scheme) };
  },
  openTextDocument(uri: Uri | { content: string; language: string }): Promise<FakeDocument> {
    if (!(uri instanceof Uri)) return Promise.resolve(fake.open("/untitled", uri.content, uri.language));
    const document = fake.documents.get(uri.toString());
    return document ? Promise.resolve(document) : Promise.reject(new Error(`${uri.toString()} is not there`));
  },
  applyEdit(edit: WorkspaceEdit): Promise<boolean> {
    for (const { uri, range, text } of edit.replacements) {
      const document = fake.documents.get(uri.toString());
      if (!document) return Promise.resolve(false);
      const [start, end] = [document.offsetAt(range.start), document.offsetAt(range.end)];
      document.text = document.text.slice(0, start) + text + document.text.slice(end);
    }
    return Promise.resolve(true);
  },
};

function message(text: string): Promise<undefined> {
  fake.messages.push(text);
  return Promise.resolve(undefined);
}

export const window = {
  get activeTextEditor(): FakeEditor | undefined {
    return fake.editor;
  },
  onDidChangeActiveTextEditor: editorChanged.event,
  onDidChangeTextEditorSelection: selectionChanged.event,
  onDidChangeWindowState: windowChanged.event,
  showInformationMessage: message,
  showWarningMessage: message,
  showErrorMessage: message,
  showInputBox: () => fake.input(),
  registerWebviewViewProvider: () => ({ dispose: () => undefined }),
  showTextDocument: () => Promise.resolve({ revealRange: () => undefined, selection: undefined }),
  withProgress<T>(_: unknown, work: (progress: unknown, token: unknown) => Promise<T>): Promise<T> {
    return work({ report: () => undefined }, { onCancellationRequested: fake.cancellation.event });
  },
  tabGroups: {
    onDidChangeTabs: tabsChanged.event,
    get all(): { tabs: Tab[] }[] {
      return [{ tabs: [...fake.tabs] }];
    },
    close(tabs: Tab[]): Promise<boolean> {
      fake.tabs = fake.tabs.filter((tab) => !tabs.includes(tab));
      if (tabs.length > 0) tabsChanged.fire({ opened: [], closed: tabs, changed: [] });
      return Promise.resolve(true);
    },
  },
};
