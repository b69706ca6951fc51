import { describe, expect, it } from "vitest";
import { DEFAULT_ENGINE_SETTINGS, type EngineSettings } from "../../../src/shared/engine_settings";
import type { TestClient } from "./host_fixture";
import { codeOf, hostScene } from "./host_scene";

const { start, fixture } = hostScene();

describe("settings", () => {
  it("are sent to the host that runs and to the next one", async () => {
    const client = (await start()).client();
    await client.request("chat/generate", fixture().chat("/count 1"));
    await client.updateSettings({ ...DEFAULT_ENGINE_SETTINGS, contextLength: 2048 });
    const used = async () => (await client.request("chat/generate", fixture().chat("/count 1"))).contextLength;
    expect(await used()).toBe(2048);
    await client.endHost();
    expect(await used()).toBe(2048);
  });

  it("that change where a model goes load it anew", async () => {
    const client = (await start()).client();
    const loaded = async () => {
      await client.request("chat/generate", fixture().chat("/count 1"));
      return (await client.request("engine/status", { startEngine: false })).models;
    };
    expect(await loaded()).toMatchObject([{ placement: { kvCacheType: "f16" } }]);
    await client.updateSettings({ ...DEFAULT_ENGINE_SETTINGS, kvCacheType: "q8_0" });
    expect(await loaded()).toMatchObject([{ placement: { kvCacheType: "q8_0" } }]);
  });

  it("that say whether tokens are guessed hold from the next request on and load nothing anew", async () => {
    const client = (await start()).client();
    const usage = async () => (await client.request("chat/generate", fixture().chat("/count 4"))).usage;
    expect(await usage()).toMatchObject({ decodePasses: 2, draftedTokens: 4, acceptedTokens: 2 });
    await client.updateSettings({ ...DEFAULT_ENGINE_SETTINGS, speculation: "off" });
    expect(await usage()).toMatchObject({ decodePasses: 4, draftedTokens: 0, acceptedTokens: 0 });
    await client.updateSettings({ ...DEFAULT_ENGINE_SETTINGS, speculation: "auto" });
    await usage();
    const { models } = await client.request("engine/status", { startEngine: false });
    expect(models).toMatchObject([{ activity: { draftedTokens: 8, acceptedTokens: 4 } }]);
  });

  it("that ask for exact answers load the model anew", async () => {
    const client = (await start()).client();
    const drafted = async () => {
      await client.request("chat/generate", fixture().chat("/count 4"));
      const { models } = await client.request("engine/status", { startEngine: false });
      return models.map(({ activity }) => activity.draftedTokens);
    };
    expect([await drafted(), await drafted()]).toEqual([[4], [8]]);
    await client.updateSettings({ ...DEFAULT_ENGINE_SETTINGS, speculation: "exact" });
    expect(await drafted()).toEqual([4]);
  });
});

describe("settings that a client does not give", () => {
  const contextOf = async (client: TestClient) =>
    (await client.request("chat/generate", fixture().chat("/count 1"))).contextLength;

  it.each<[name: string, given: Partial<EngineSettings>, contextLength: number]>([
    ["none", {}, 2048],
    ["another", { threads: 1 }, 2048],
    ["this one", { contextLength: 3072 }, 3072],
  ])("stay those of the others: %s", async (_, given, contextLength) => {
    await start();
    const window = fixture().client({ ...DEFAULT_ENGINE_SETTINGS, contextLength: 2048 });
    expect(await contextOf(window)).toBe(2048);
    await fixture().client(given).request("engine/status", { startEngine: false });
    expect(await contextOf(window)).toBe(contextLength);
  });

  it("are checked also when they change later", async () => {
    const client = (await start()).client();
    await client.request("engine/status", { startEngine: false });
    expect(await codeOf(client.updateSettings({ threads: -1 }))).toBe("INVALID_ARGUMENT");
  });
});
