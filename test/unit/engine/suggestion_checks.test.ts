import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ModelRole } from "../../../src/shared/models";
import { HostFixture, type TestClient } from "./host_fixture";

let fixture: HostFixture;
beforeEach(async () => {
  fixture = await HostFixture.create();
});
afterEach(() => {
  fixture.dispose();
});

describe("a suggestion that the main model checks", () => {
  const place = () => ({
    ...{ path: "a.txt", languageId: "plaintext", prefix: "\n/count 3\n", suffix: "", maxTokens: 8 },
    ...{ model: fixture.model, mainModel: other(), extracts: [], lines: "single" as const },
  });
  const check = (suggestion: string) => ({ ...place(), suggestion });

  /** Another model than the one that suggests. */
  function other(): string {
    const path = join(fixture.directory, "main.gguf");
    writeFileSync(path, "GGUF and no more");
    return path;
  }

  async function startWith(role: ModelRole | null): Promise<TestClient> {
    const client = fixture.client();
    if (role) await client.request("models/load", { model: other(), role });
    return client;
  }

  it("is what that one suggests at the place, which can be computed ahead", async () => {
    const client = await startWith("main");
    const ahead = await client.request("completion/prefillCheck", place());
    expect(ahead?.computedTokens).toBeGreaterThan(0);
    const checked = await client.request("completion/check", check("1 2 4"));
    expect(checked).toMatchObject({ text: "1 2 3", finish: "stop", model: other() });
    expect(checked?.usage.reusedTokens).toBe(ahead?.promptTokens);
  });

  it.each<[name: string, role: ModelRole | null]>([
    ["is not in memory", null],
    ["is there for ghost text", "fast"],
  ])("is left alone where that one %s, and nothing is loaded for it", async (_, role) => {
    const client = await startWith(role);
    expect(await client.request("completion/check", check("1 2 3"))).toBeNull();
    expect(await client.request("completion/prefillCheck", place())).toBeNull();
    const { models } = await client.request("engine/status", { startEngine: false });
    expect(models.map(({ roles }) => roles)).toEqual(role ? [[role]] : []);
  });

  it("is left alone where both are the same, by whatever name", async () => {
    const client = await startWith("main");
    const name = `${fixture.directory}/./main.gguf`;
    expect(await client.request("completion/check", { ...check("1 2 3"), model: other() })).toBeNull();
    expect(await client.request("completion/check", { ...check("1 2 3"), model: name })).toBeNull();
  });

  it("is left alone where so much is missing of the prompt that it would come too late", async () => {
    const client = await startWith("main");
    const long = { ...check("1 2 3"), prefix: `${"line of text\n".repeat(40)}${place().prefix}` };
    expect(await client.request("completion/check", long)).toBeNull();
    await client.request("completion/prefillCheck", long);
    expect((await client.request("completion/check", long))?.text).toBe("1 2 3");
  });

  it("is left alone where nothing may be computed ahead", async () => {
    const client = await startWith("main");
    await client.request("engine/configure", { computeAhead: "off" });
    expect(await client.request("completion/check", check("1 2 3"))).toBeNull();
  });
});
