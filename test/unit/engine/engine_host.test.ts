import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { packCatalogue } from "../../../src/engine/packs/pack_catalogue";
import { DEFAULT_ENGINE_SETTINGS } from "../../../src/shared/engine_settings";
import type { ParamsOf } from "../../../src/shared/protocol";
import { behavioursOf, startFileServer, type Behaviour, type FileServer } from "../models/file_server";
import { codeOf, hostScene, patience } from "./host_scene";

const { start, fixture } = hostScene();

it("checks the machine: plans what is installed and what could be, loads nothing", async () => {
  const host = await start();
  const client = host.client({ ...DEFAULT_ENGINE_SETTINGS, modelsDirectory: host.directory, contextLength: 2048 });
  const planned: string[] = [];
  const report = await client.request("engine/checkMachine", {}, { onProgress: (name) => planned.push(name) });
  expect(planned.toSorted()).toEqual(report.models.map(({ name }) => name).toSorted());
  const own = report.models.filter(({ isOwnFile }) => isOwnFile);
  expect(own.map(({ placement, problem }) => [placement?.contextLength, problem])).toEqual([
    [2048, ""],
    [2048, ""],
  ]);
  const others = report.models.filter(({ isOwnFile }) => !isOwnFile);
  expect(others.length).toBeGreaterThan(3);
  expect(others.every(({ installed, problem }) => !installed && problem === "")).toBe(true);
  expect(others.map(({ placement }) => placement?.contextLength)).toEqual(
    others.map(({ fits }) => (fits ? 2048 : undefined)),
  );
  expect(report).toMatchObject({ hasLoadedModels: false, settings: { contextLength: 2048 } });
  expect((await client.request("engine/status", { startEngine: false })).models).toEqual([]);
});

it("tells of engine packs and takes none that it does not know", async () => {
  const client = (await start()).client();
  const { packs } = await client.request("packs/list", null);
  expect(packs.every(({ installed }) => !installed)).toBe(true);
  const installing = client.request("packs/installFile", { path: fixture().model });
  expect(await codeOf(installing)).toBe("CHECKSUM_MISMATCH");
  expect(await codeOf(client.request("archive/install", { path: fixture().model }))).toBe("CHECKSUM_MISMATCH");
  expect(await codeOf(client.request("packs/install", { pack: "rocm" }))).not.toBe("none");
  const { backends, preparing } = await client.request("engine/status", { startEngine: true });
  expect(backends).toEqual([{ name: "vulkan", usable: false, reason: "it finds no card it can use" }]);
  expect(preparing).toBe("");
});

describe("an engine pack that cannot be had", () => {
  const platform = `${process.platform}-${process.arch}`;
  const pack = packCatalogue.find((entry) => entry.platform === platform)?.id;
  const { other, status } = behavioursOf(Buffer.alloc(0));
  let server: FileServer | null = null;
  afterEach(() => server?.close());

  it.each<[what: string, behave: Behaviour]>([
    ["is a page", other(Buffer.from("<html>"))],
    ["is not there", status(404)],
    ["is not for everybody", status(403)],
  ])("because what the server has %s leaves an engine that computes without it", async (_, behave) => {
    server = await startFileServer([behave]);
    const host = await start();
    const client = host.client({ ...DEFAULT_ENGINE_SETTINGS, packMirror: server.url });
    // There is none for some systems, and then nobody is asked.
    const refused = pack === undefined ? "INVALID_ARGUMENT" : "DOWNLOAD_FAILED";
    expect(await codeOf(client.request("packs/install", { pack: pack ?? "cuda13" }))).toBe(refused);
    expect(server.seen).toHaveLength(pack === undefined ? 0 : 1);
    const { text } = await client.request("chat/generate", host.chat("/count 3"));
    expect(text).toBe("1 2 3 ");
    const { packs } = await client.request("packs/list", null);
    expect(
      packs.filter(({ installed, downloading, partialBytes }) => installed || downloading || partialBytes > 0),
    ).toEqual([]);
    const { backends } = await client.request("engine/status", { startEngine: true });
    expect(backends.map(({ name }) => name)).toEqual(["vulkan"]);
  });
});

it("merely looking loads nothing native", async () => {
  await start({ NMOS_ADDON: "/nowhere/addon.node" });
  const client = fixture().client();
  const status = await client.request("engine/status", { startEngine: false });
  expect(status).toMatchObject({ library: "", devices: [], models: [], clients: 1 });
  expect(status.memory.totalBytes).toBeGreaterThan(0);
});

describe("the self-test", () => {
  async function tested(models: ParamsOf<"engine/selfTest">["models"]): Promise<[name: string, detail: string][]> {
    const steps = await fixture()
      .client()
      .request("engine/selfTest", models ? { models } : {});
    return steps.slice(2).map(({ name, ok, detail }) => [name, ok ? detail : `failed: ${detail}`]);
  }

  it("tries the models that the user has chosen", async () => {
    const { model } = (await start()).chat("");
    expect(await tested({ fast: model, main: "qwen2.5-coder-7b" })).toEqual([
      ["Load the model for ghost text", `${model}: fake 1B`],
      ["Generate text with it", expect.stringMatching(/^1 tokens at/)],
      ["Load the model for chat", expect.stringMatching(/^failed: .*7B is not installed.*MODEL_NOT_INSTALLED/)],
    ]);
    expect(await tested({ fast: model, main: model })).toHaveLength(4);
  });

  it("tries the usual ones where none is chosen", async () => {
    await start();
    for (const models of [undefined, {}]) {
      expect(await tested(models)).toEqual([
        ["Load the model for ghost text", expect.stringMatching(/^failed: .*MODEL_NOT_INSTALLED/)],
      ]);
    }
  });

  it("that is stopped waits for no model", async () => {
    const client = (await start()).client();
    const controller = new AbortController();
    const stopped = client.request(
      "engine/selfTest",
      { models: { fast: fixture().gatedModel } },
      {
        signal: controller.signal,
        onProgress: ({ name }) => {
          if (name === "Find devices") controller.abort();
        },
      },
    );
    expect((await stopped).at(-1)).toMatchObject({ name: "Load the model for ghost text", ok: false });
  });
});

describe("notifications", () => {
  it("tell every client what is loaded", async () => {
    const [one, other] = [(await start()).client(), fixture().client()];
    const seen: string[][] = [];
    other.on("engine/statusChanged", ({ models }) => seen.push(models.map(({ name }) => name)));
    await other.request("engine/status", { startEngine: true });
    await one.request("chat/generate", fixture().chat("/count 1"));
    await vi.waitUntil(() => seen.at(-1)?.includes("model"), patience);
    await one.request("engine/unload", {});
    await vi.waitUntil(() => seen.at(-1)?.length === 0, patience);
  });
});

describe("the log", () => {
  it("holds no text of the user", async () => {
    const client = (await start()).client();
    await client.request("chat/generate", fixture().chat("my secret\n/count 3"));
    expect(fixture().log()).not.toContain("secret");
    expect(fixture().log()).toContain("client test");
  });

  it("that cannot be written does not keep the host from starting", async () => {
    await start();
    const directory = dirname(fixture().paths.logFile);
    mkdirSync(dirname(directory), { recursive: true });
    writeFileSync(directory, "a file where the folder should be");
    expect((await fixture().client().request("engine/status", { startEngine: true })).hostPid).toBe(
      fixture().hostPid(),
    );
  });
});
