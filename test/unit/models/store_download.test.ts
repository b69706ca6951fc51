import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { tryProcessLock } from "../../../src/engine/process_lock";
import type { DownloadProgress } from "../../../src/shared/download_progress";
import { behavioursOf, startFileServer, type Behaviour, type FileServer } from "./file_server";
import { patient } from "./run_download";
import { storeOf, testModel } from "./store_fixture";
import { temporaryDirectories } from "./temporary_directory";

const directory = temporaryDirectories();
const model = testModel("tiny", 500_000);
const other = testModel("other", 1_000);
const { good, other: otherBytes } = behavioursOf(model.content);
const servers: FileServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map(({ close }) => close()));
});

async function serve(...script: Behaviour[]): Promise<FileServer> {
  const server = await startFileServer(script);
  servers.push(server);
  return server;
}

/** Sends half of the file; `release` sends the rest. */
function halting(): { behaviour: Behaviour; halted: Promise<void>; release: () => void } {
  const half = model.content.length / 2;
  const halted = gate();
  const released = gate();
  return {
    halted: halted.opened,
    release: () => {
      released.open();
    },
    behaviour: ({ response }) => {
      response.writeHead(200, { "content-length": model.content.length, etag: '"one"' });
      response.write(model.content.subarray(0, half), () => {
        halted.open();
      });
      void released.opened.then(() => response.end(model.content.subarray(half)));
    },
  };
}

/** A store beside a server of the model. */
async function storeWith(...script: Behaviour[]) {
  const server = await serve(...script);
  const folder = directory();
  const path = join(folder, model.entry.file);
  const changes = { mirror: server.url, timing: { ...patient } };
  return { server, folder, path, store: storeOf([model, other], folder, changes) };
}

async function stateOf(store: ReturnType<typeof storeOf>) {
  const { installed, downloading, partialBytes } = (await store.list()).find(({ ref }) => ref === "tiny") ?? {};
  return { installed, downloading, partial: (partialBytes ?? 0) > 0 };
}

describe("a download by the store", () => {
  it("puts a verified model into the folder, asks the mirror for its path and announces it", async () => {
    const { store, server, path, folder } = await storeWith(good());
    const announced: boolean[] = [];
    store.onChanged(() => void stateOf(store).then(({ installed }) => announced.push(installed ?? false)));
    expect(await store.download("tiny", {})).toBe(path);
    expect(readFileSync(path).equals(model.content)).toBe(true);
    expect(server.seen.map((seen) => seen.path)).toEqual(["/Owner/tiny/resolve/main/tiny.gguf"]);
    expect(readdirSync(folder).toSorted()).toEqual(["tiny.gguf", "verified.json"]);
    expect(await stateOf(store)).toEqual({ installed: true, downloading: false, partial: false });
    expect(announced).toEqual([false, true]);
    expect((await store.choose("auto", "main")).ref).toBe("tiny");
  });

  it("of a model that is there asks nothing", async () => {
    const { store, server } = await storeWith(good());
    await store.download("tiny", {});
    await store.download("tiny", {});
    expect(server.seen).toHaveLength(1);
  });

  it("replaces a file that was cut off", async () => {
    const { store, path } = await storeWith(good());
    writeFileSync(path, model.content);
    truncateSync(path, 1_000);
    await store.download("tiny", {});
    expect(readFileSync(path).equals(model.content)).toBe(true);
  });

  it("can fail and be tried again", async () => {
    const { store } = await storeWith(otherBytes(Buffer.alloc(model.content.length)), good());
    await expect(store.download("tiny", {})).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
    expect(await stateOf(store)).toEqual({ installed: false, downloading: false, partial: false });
    await store.download("tiny", {});
    expect((await stateOf(store)).installed).toBe(true);
  });

  it("of an unknown model fails", async () => {
    const { store } = await storeWith(good());
    await expect(store.download("unheard-of", {})).rejects.toMatchObject({ code: "MODEL_UNKNOWN" });
  });

  it("into a folder that cannot be made names the setting", async () => {
    const file = join(directory(), "file");
    writeFileSync(file, "");
    const store = storeOf([model], join(file, "models"));
    await expect(store.download("tiny", {})).rejects.toThrow(/cannot be written .*nmos\.engine\.modelsDirectory/);
  });
});

describe("several who want the same model", () => {
  it("share one download, and one who leaves does not stop it", async () => {
    const { behaviour, halted, release } = halting();
    const { store, server, path } = await storeWith(behaviour);
    const leaving = new AbortController();
    const progress: DownloadProgress[] = [];
    const first = store.download("tiny", { signal: leaving.signal });
    const second = store.download("tiny", { onProgress: (one) => progress.push(one) });
    await halted;
    leaving.abort();
    await expect(first).rejects.toMatchObject({ code: "CANCELLED" });
    expect((await stateOf(store)).downloading).toBe(true);
    release();
    expect(await second).toBe(path);
    expect(server.seen).toHaveLength(1);
    expect(progress.map(({ ref }) => ref)).toContain("tiny");
  });

  it("stop it when the last one leaves", async () => {
    const { behaviour, halted } = halting();
    const { store } = await storeWith(behaviour);
    const leaving = new AbortController();
    const both = [1, 2].map(() => store.download("tiny", { signal: leaving.signal }));
    await halted;
    leaving.abort();
    const ends = await Promise.allSettled(both);
    expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect((await stateOf(store)).downloading).toBe(false);
  });

  it("are all told of a pause, and can go on from there at once", async () => {
    const { behaviour, halted } = halting();
    const { store, server, path } = await storeWith(behaviour, good());
    const waiting = [1, 2].map(() => store.download("tiny", {}));
    const ends = Promise.allSettled(waiting);
    await halted;
    await until(async () => (await stateOf(store)).partial);
    const pausing = store.pause("tiny");
    const resumed = store.download("tiny", {});
    await pausing;
    for (const end of await ends) expect(end).toMatchObject({ status: "rejected", reason: { code: "CANCELLED" } });
    expect(await resumed).toBe(path);
    expect(server.seen[1]?.range).toMatch(/^bytes=[1-9]\d*-$/);
    expect(readFileSync(path).equals(model.content)).toBe(true);
  });

  it("are paused by another folder", async () => {
    const { behaviour, halted } = halting();
    const { store, server } = await storeWith(behaviour);
    const download = expect(store.download("tiny", {})).rejects.toMatchObject({ code: "CANCELLED" });
    await halted;
    store.update({ modelsDirectory: directory(), proxy: "", noProxy: "", mirror: server.url });
    await download;
  });
});

describe("a pause or removal", () => {
  it("of a model nobody downloads does nothing", async () => {
    const { store, server } = await storeWith(good());
    await store.pause("tiny");
    await store.remove("tiny");
    expect(server.seen).toEqual([]);
  });

  it("removes what a download under way has brought", async () => {
    const { behaviour, halted } = halting();
    const { store, folder } = await storeWith(behaviour);
    const download = expect(store.download("tiny", {})).rejects.toMatchObject({ code: "CANCELLED" });
    await halted;
    await store.remove("tiny");
    await download;
    expect(readdirSync(folder)).toEqual([]);
  });

  it("is refused while another holds the model, whose bytes stay", async () => {
    const { store, path } = await storeWith(good());
    writeFileSync(`${path}.part`, "bytes");
    const lock = tryProcessLock(`${path}.lock`);
    await expect(store.remove("tiny")).rejects.toThrow(/another process/);
    expect(existsSync(`${path}.part`)).toBe(true);
    lock?.dispose();
    await store.remove("tiny");
    expect(existsSync(`${path}.part`)).toBe(false);
  });
});

describe("several processes", () => {
  it("make one download of the same model", async () => {
    const { behaviour, halted, release } = halting();
    const server = await serve(behaviour);
    const folder = directory();
    mkdirSync(folder, { recursive: true });
    const first = startProcess(folder, server.url);
    await halted;
    const second = startProcess(folder, server.url);
    await second.waiting;
    release();
    const path = join(folder, model.entry.file);
    expect(await first.path).toBe(path);
    expect(await second.path).toBe(path);
    expect(server.seen).toHaveLength(1);
    expect(readFileSync(path).equals(model.content)).toBe(true);
    expect(readdirSync(folder).toSorted()).toEqual(["tiny.gguf", "verified.json"]);
  });

  it("take over from one that was killed, at the place where it was", async () => {
    const { behaviour, halted } = halting();
    const { store, server, path } = await storeWith(behaviour, good());
    const killed = startProcess(join(path, ".."), server.url);
    await halted;
    await until(async () => (await stateOf(store)).partial);
    killed.kill();
    await expect(killed.path).rejects.toThrow();
    expect(await store.download("tiny", {})).toBe(path);
    expect(server.seen[1]?.range).toMatch(/^bytes=[1-9]\d*-$/);
    expect(readFileSync(path).equals(model.content)).toBe(true);
  });
});

function startProcess(folder: string, mirror: string) {
  const program = join(import.meta.dirname, "downloading_process.ts");
  const args = ["--import", "tsx", program, folder, mirror, JSON.stringify(model.entry)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const waiting = gate();
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (output.includes("waiting")) waiting.open();
  });
  const path = new Promise<string>((resolve, reject) => {
    child.on("close", (code) => {
      if (code === 0) resolve(output.trim().split("\n").at(-1) ?? "");
      else reject(new Error(`the process ended with ${String(code)}`));
    });
  });
  path.catch(() => undefined);
  return { waiting: waiting.opened, path, kill: () => child.kill("SIGKILL") };
}

/** Something that happens once, and a promise of it. */
function gate(): { open: () => void; opened: Promise<void> } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return {
    open: () => {
      open();
    },
    opened,
  };
}

/** Waits for something that happens on disk. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
