import { describe, expect, test, vi } from "vitest";

interface Scopes {
  globalValue?: unknown;
  workspaceValue?: unknown;
  workspaceFolderValue?: unknown;
}

const state = vi.hoisted(() => {
  const exclude: Record<string, unknown> = {};
  const hidden: Record<string, boolean> = {};
  return { exclude, hidden };
});

vi.mock("vscode", () => ({
  workspace: {
    getConfiguration: (section: string) => ({
      inspect: () => state.exclude,
      get: () =>
        section === "files"
          ? state.hidden
          : (state.exclude["workspaceFolderValue"] ??
            state.exclude["workspaceValue"] ??
            state.exclude["globalValue"] ??
            state.exclude["defaultValue"]),
    }),
    asRelativePath: (uri: { path: string }) => uri.path.replace(/^\/ws\//, ""),
  },
}));

const { isHiddenFile, isPrivateFile } = await import("../../../src/config/private_files");

function uri(path: string): Parameters<typeof isPrivateFile>[0] {
  const fake: unknown = { path };
  return fake as Parameters<typeof isPrivateFile>[0];
}

describe("files that never go into a prompt", () => {
  function check(scopes: Scopes, path: string, expected: boolean): void {
    test(`${path} with ${JSON.stringify(scopes)}`, () => {
      state.exclude = { defaultValue: ["**/.env"], ...scopes };
      expect(isPrivateFile(uri(path))).toBe(expected);
    });
  }

  check({}, "/ws/.env", true);
  check({}, "/ws/deep/.env", true);
  check({}, "/ws/a.ts", false);
  check({ globalValue: ["notes/**"] }, "/ws/notes/a.txt", true);
  check({ globalValue: ["notes/**"] }, "/ws/.env", false);
  check({ workspaceValue: [] }, "/ws/.env", true);
  check({ workspaceValue: ["*.sql"] }, "/ws/.env", true);
  check({ workspaceValue: ["*.sql"] }, "/ws/db/a.sql", true);
  check({ globalValue: ["*.key"], workspaceValue: [] }, "/ws/a.key", true);
  check({ globalValue: ["*.key"], workspaceFolderValue: ["*.sql"] }, "/ws/a.key", true);
  check({ globalValue: "broken", workspaceValue: 5 }, "/ws/.env", true);
});

describe("files that VS Code hides", () => {
  function check(exclude: Record<string, boolean>, path: string, expected: boolean): void {
    test(`${path} with ${JSON.stringify(exclude)}`, () => {
      state.hidden = exclude;
      expect(isHiddenFile(uri(path))).toBe(expected);
    });
  }

  check({}, "/ws/.git/config", false);
  check({ "**/.git": true }, "/ws/.git/config", true);
  check({ "**/.git": true }, "/ws/.gitignore", false);
  check({ "**/.git": false }, "/ws/.git/config", false);
  check({ "**/.DS_Store": true }, "/ws/a/.DS_Store", true);
});
