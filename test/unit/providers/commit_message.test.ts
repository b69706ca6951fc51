import { beforeEach, expect, test, vi } from "vitest";
import type { EngineClient, RequestOptions } from "../../../src/engine/client/engine_client";
import type { EngineView } from "../../../src/providers/engine_view";
import { EngineError } from "../../../src/shared/errors";
import { commands, fake } from "./fake_vscode";

const repository = {
  rootUri: { toString: () => "file:/ws" },
  inputBox: { value: "" },
  state: { indexChanges: [{}] as unknown[], workingTreeChanges: [] },
  ui: { selected: true },
  diff: (staged: boolean) =>
    Promise.resolve(`diff --git a/x.ts b/x.ts\n@@ -1 +1 @@\n+${staged ? "staged" : "changed"}\n`),
};

vi.mock("vscode", async () => {
  const base = await import("./fake_vscode");
  return {
    ...base,
    Uri: Object.assign(base.Uri, { joinPath: (_: unknown, path: string) => base.Uri.file(`/ws/${path}`) }),
  };
});
vi.mock("../../../src/providers/git_extension", () => ({ gitRepositories: () => Promise.resolve([repository]) }));

const { registerCommitMessage } = await import("../../../src/providers/commit_message");

type Generate = (options: RequestOptions<"chat/generate">, prompt: string) => Promise<string>;

const view: unknown = { status: undefined, onChanged: () => ({ dispose: () => undefined }) };

async function write(generate: Generate): Promise<string> {
  const engine: unknown = {
    request: async (
      _: string,
      params: { messages: { content: string }[] },
      options: RequestOptions<"chat/generate">,
    ) => ({
      text: await generate(options, params.messages.at(-1)?.content ?? ""),
    }),
  };
  const registered = registerCommitMessage(engine as EngineClient, view as EngineView);
  await commands.executeCommand("nmos.commitMessage");
  registered.dispose();
  return repository.inputBox.value;
}

beforeEach(() => {
  fake.reset();
  repository.inputBox.value = "mine";
  repository.state.indexChanges = [{}];
});

test("streams into the input box", async () => {
  const seen: string[] = [];
  const written = await write(({ onProgress }) => {
    for (const text of ["Fix", " it"]) {
      onProgress?.(text);
      seen.push(repository.inputBox.value);
    }
    return Promise.resolve("Fix it");
  });
  expect([...seen, written]).toEqual(["Fix", "Fix it", "Fix it"]);
});

test("what is staged, else what has changed, is described", async () => {
  const prompts: string[] = [];
  const remember: Generate = (_, prompt) => {
    prompts.push(prompt);
    return Promise.resolve("m");
  };
  await write(remember);
  repository.state.indexChanges = [];
  await write(remember);
  expect(prompts.map((prompt) => /^\+(\w+)/m.exec(prompt)?.[1])).toEqual(["staged", "changed"]);
});

test.each([
  [10, false],
  [1000, true],
])("a diff of %s lines is said to be shortened: %s", async (lines, shortened) => {
  const diff = `diff --git a/x.ts b/x.ts\n@@ -1 +1 @@\n${"+a line of it\n".repeat(lines)}`;
  const asked = vi.spyOn(repository, "diff").mockResolvedValue(diff);
  let said = "";
  await write((_, prompt) => {
    said = prompt;
    return Promise.resolve("m");
  });
  asked.mockRestore();
  expect(said.includes("(parts of a longer diff)")).toBe(shortened);
  expect(said.length).toBeLessThan(8200);
});

test("a failure puts back what was there", async () => {
  const written = await write(({ onProgress }) => {
    onProgress?.("Fi");
    return Promise.reject(new EngineError("ENGINE_DIED", "gone"));
  });
  expect(written).toBe("mine");
  expect(fake.messages).toEqual(["No commit message was written: gone"]);
});

test("what the user types meanwhile stays, and the writing ends", async () => {
  let aborted = false;
  const written = await write(({ onProgress, signal }) => {
    onProgress?.("Fi");
    repository.inputBox.value = "My own";
    onProgress?.("x");
    aborted = signal?.aborted ?? false;
    return Promise.resolve("Fix it");
  });
  expect([written, aborted]).toEqual(["My own", true]);
});

test("an untrusted workspace is not read", async () => {
  fake.trusted = false;
  expect(await write(() => Promise.resolve("m"))).toBe("mine");
});
