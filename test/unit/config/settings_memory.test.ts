import { beforeEach, describe, expect, test, vi } from "vitest";

const events = vi.hoisted(() => {
  const listeners = { settings: new Set<() => void>(), folders: new Set<() => void>() };
  const event = (set: Set<() => void>) => (listener: () => void) => {
    set.add(listener);
    return { dispose: () => set.delete(listener) };
  };
  return { listeners, onSettings: event(listeners.settings), onFolders: event(listeners.folders) };
});

vi.mock("vscode", () => ({
  workspace: { onDidChangeConfiguration: events.onSettings, onDidChangeWorkspaceFolders: events.onFolders },
}));

const { remembered, watchSettings } = await import("../../../src/config/settings_memory");

type Scope = NonNullable<Parameters<ReturnType<typeof remembered>>[0]>;

function file(path: string): Scope {
  const uri: unknown = { toString: () => path };
  return uri as Scope;
}

function inLanguage(path: string, languageId: string): Scope {
  const scope: unknown = { uri: file(path), languageId };
  return scope as Scope;
}

describe("the memory of settings", () => {
  let reads = 0;
  const read = remembered(() => ++reads);

  beforeEach(() => {
    reads = 0;
  });

  test("nothing is remembered as long as nobody watches the settings", () => {
    read(file("/a"));
    read(file("/a"));
    expect(reads).toBe(2);
  });

  test("each scope is read once", () => {
    const watch = watchSettings();
    const scopes = [undefined, file("/a"), file("/b"), inLanguage("/a", "c"), inLanguage("/a", "python")];
    const first = scopes.map((scope) => read(scope));
    expect(scopes.map((scope) => read(scope))).toEqual(first);
    expect(new Set(first).size).toBe(scopes.length);
    watch.dispose();
  });

  for (const what of ["settings", "folders"] as const) {
    test(`it is read again when the ${what} change`, () => {
      const watch = watchSettings();
      read(file("/a"));
      for (const listener of events.listeners[what]) listener();
      read(file("/a"));
      expect(reads).toBe(2);
      watch.dispose();
    });
  }

  test("a window that ends leaves nothing behind", () => {
    const watch = watchSettings();
    read(file("/a"));
    watch.dispose();
    read(file("/a"));
    expect(reads).toBe(2);
    expect(events.listeners.settings.size + events.listeners.folders.size).toBe(0);
  });

  test("any number of files may be read", () => {
    const watch = watchSettings();
    for (let i = 0; i < 1000; ++i) read(file(`/${String(i)}`));
    expect(reads).toBe(1000);
    expect(read(file("/999"))).toBe(1000);
    watch.dispose();
  });
});
