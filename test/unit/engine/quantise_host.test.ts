import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { QuantiseParams, QuantiseProgress } from "../../../src/shared/quantise";
import { HostFixture } from "./host_fixture";
import { codeOf, patience } from "./host_scene";

/** The engine host and its quantising process, both real, over the fake addon. */

let fixture: HostFixture;

afterEach(() => {
  fixture.dispose();
});

async function start(): Promise<HostFixture> {
  fixture = await HostFixture.create();
  mkdirSync(fixture.paths.models, { recursive: true });
  return fixture;
}

function paramsFor(name: string): QuantiseParams {
  const path = join(fixture.directory, name);
  writeFileSync(path, "GGUF");
  return { path, type: "Q4_K_M", lossAccepted: false, replace: false };
}

function partials(): string[] {
  return readdirSync(fixture.paths.models).filter((file) => file.endsWith(".part"));
}

/** Id of the process that writes the partial result, once it does. */
async function workerPid(): Promise<number> {
  let pid = 0;
  await vi.waitUntil(() => {
    try {
      const [file = ""] = partials();
      pid = Number(/process (\d+)/.exec(readFileSync(join(fixture.paths.models, file), "utf8"))?.[1]);
    } catch {
      // There is none yet, or not any more.
    }
    return pid > 0;
  }, patience);
  return pid;
}

function hasEnded(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return true;
  }
  if (process.platform !== "linux") return false;
  // One that was killed stays until somebody asks for its status.
  return !existsSync(`/proc/${String(pid)}`) || readFileSync(`/proc/${String(pid)}/stat`, "utf8").includes(") Z ");
}

function controlled() {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    abort: () => {
      controller.abort();
    },
  };
}

describe("quantising", () => {
  it("leaves a model that the next request can use", async () => {
    const client = (await start()).client();
    const steps: QuantiseProgress[] = [];
    const params = paramsFor("Own-F16.gguf");
    const result = await client.request("models/quantise", params, { onProgress: (step) => steps.push(step) });
    expect(result).toMatchObject({ path: join(fixture.paths.models, "Own-Q4_K_M.gguf"), meanKl: 0.01, sameTop: 0.9 });
    expect(steps.at(-1)).toEqual({ phase: "checking", fraction: 1 });
    const models = await client.request("models/list", null);
    expect(models.find(({ path }) => path === result.path)).toMatchObject({ installed: true, name: "Own-Q4_K_M" });
    const answer = await client.request("chat/generate", { ...fixture.chat("/count 2"), model: result.path });
    expect(answer.text).toBe("1 2 ");
  });

  it.each([
    ["cut.gguf", "MODEL_TRUNCATED"],
    ["q4.gguf", "INVALID_ARGUMENT"],
    ["crash.gguf", "ENGINE_DIED"],
    ["spoiled.gguf", "QUALITY_TOO_LOW"],
  ])("%s fails with %s and harms nobody", async (name, code) => {
    const client = (await start()).client();
    const { hostPid } = await client.request("engine/status", { startEngine: false });
    expect(await codeOf(client.request("models/quantise", paramsFor(name)))).toBe(code);
    expect(readdirSync(fixture.paths.models)).toEqual([]);
    expect((await client.request("engine/status", { startEngine: false })).hostPid).toBe(hostPid);
  });

  it("leaves the engine free, and nothing when it is cancelled", async () => {
    const client = (await start()).client();
    const { signal, abort } = controlled();
    const running = codeOf(client.request("models/quantise", paramsFor("endless.gguf"), { signal }));
    const pid = await workerPid();
    expect((await client.request("chat/generate", fixture.chat("/count 3"))).text).toBe("1 2 3 ");
    expect(hasEnded(pid)).toBe(false);
    const isQuantising = async () => (await client.request("engine/status", { startEngine: false })).quantising;
    expect(await isQuantising()).toBe(true);
    abort();
    expect(await running).toBe("CANCELLED");
    expect(await isQuantising()).toBe(false);
    expect(hasEnded(pid)).toBe(true);
    expect(partials()).toEqual([]);
  });

  it("ends when the window that asked for it goes away", async () => {
    const client = (await start()).client();
    const other = fixture.client();
    await other.request("engine/status", { startEngine: false });
    const running = codeOf(client.request("models/quantise", paramsFor("endless.gguf")));
    const pid = await workerPid();
    client.dispose();
    await running;
    await vi.waitUntil(() => hasEnded(pid) && partials().length === 0, patience);
    expect((await other.request("chat/generate", fixture.chat("/count 1"))).text).toBe("1 ");
  });

  it("ends with the host that is killed, and a later host removes what is left", async () => {
    const client = (await start()).client();
    const running = codeOf(client.request("models/quantise", paramsFor("endless.gguf")));
    const pid = await workerPid();
    process.kill(fixture.hostPid() ?? 0, "SIGKILL");
    expect(await running).toBe("ENGINE_DIED");
    await vi.waitUntil(() => hasEnded(pid), patience);
    const [left = ""] = partials();
    const hoursAgo = Date.now() / 1000 - 2 * 3600;
    utimesSync(join(fixture.paths.models, left), hoursAgo, hoursAgo);
    await fixture.client().request("engine/status", { startEngine: false });
    expect(partials()).toEqual([]);
  });

  it("ends with the host that is told to, with an error and nothing left", async () => {
    const client = (await start()).client();
    // As the command asks: with progress, after which the client does not repeat a request.
    const steps: QuantiseProgress[] = [];
    const options = { onProgress: (step: QuantiseProgress) => steps.push(step) };
    const running = codeOf(client.request("models/quantise", paramsFor("endless.gguf"), options));
    const pid = await workerPid();
    await vi.waitUntil(() => steps.some(({ phase }) => phase === "quantising"), patience);
    await client.endHost();
    expect(await running).toBe("ENGINE_DIED");
    await vi.waitUntil(() => hasEnded(pid) && partials().length === 0, patience);
    expect(await client.request("models/list", null)).not.toContainEqual(
      expect.objectContaining({ name: "endless-Q4_K_M" }),
    );
    expect(partials()).toEqual([]);
  });
});
