import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import { catalogue } from "../../../src/engine/models/catalogue";
import { recommend } from "../../../src/engine/models/recommend";
import { EngineError } from "../../../src/shared/errors";
import { commands, fake } from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

const { registerWalkthrough } = await import("../../../src/providers/walkthrough");

describe("trying ghost text", () => {
  beforeEach(() => {
    fake.reset();
  });

  async function tryIt(load: () => Promise<unknown>): Promise<void> {
    const engine: unknown = { request: (method: string) => (method === "models/load" ? load() : undefined) };
    const registered = registerWalkthrough({} as Parameters<typeof registerWalkthrough>[0], engine as EngineClient);
    await commands.executeCommand("nmos.tryCompletion");
    registered.dispose();
  }

  test("opens a sample and asks for a suggestion once the model is there", async () => {
    await tryIt(() => {
      expect(fake.documents.size).toBe(0);
      return Promise.resolve({});
    });
    expect(fake.documents.size).toBe(1);
    expect(fake.executed).toContain("editor.action.inlineSuggest.trigger");
  });

  test("says what is missing", async () => {
    await tryIt(() => Promise.reject(new EngineError("MODEL_NOT_INSTALLED", "No model is installed.")));
    expect(fake.messages).toEqual(["Ghost text does not work yet: No model is installed."]);
    expect(fake.documents.size).toBe(0);
  });
});

describe("the models that the walkthrough promises", () => {
  const page = readFileSync(new URL("../../../media/walkthrough/model.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| (\d+) GB +\| (.+?) +\| (.+?) +\|$/gm)];

  test.each(rows.map(([, memory, fast, main]) => [Number(memory), fast, main] as const))(
    "%i GB: %s and %s",
    (memory, fast, main) => {
      const nameOf = (id: string | null) => catalogue.find((entry) => entry.id === id)?.name.replace(/ Instruct$/, "");
      expect(nameOf(recommend(catalogue, "fast", memory * 2 ** 30))).toBe(fast);
      expect(nameOf(recommend(catalogue, "main", memory * 2 ** 30))).toBe(main);
    },
  );
});
