import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { PackStore, PackStoreOptions } from "../../../src/engine/packs/pack_store";
import { tryProcessLock } from "../../../src/engine/process_lock";
import type { DownloadProgress } from "../../../src/shared/download_progress";
import { toEngineError } from "../../../src/shared/errors";
import { behavioursOf, startFileServer, type Behaviour, type FileServer } from "../models/file_server";
import { temporaryDirectories } from "../models/temporary_directory";
import { makePack, packStoreOf, platform, type TestPack } from "./pack_fixture";

const directory = temporaryDirectories();
const servers: FileServer[] = [];
let pack: TestPack;
let serving: ReturnType<typeof behavioursOf>;

beforeAll(async () => {
  pack = await makePack(directory());
  serving = behavioursOf(pack.bytes);
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map(({ close }) => close()));
});

/** A store beside a server of the pack. */
async function storeWith(script: readonly Behaviour[], changes: Partial<PackStoreOptions> = {}) {
  const server = await startFileServer(script);
  servers.push(server);
  const folder = join(directory(), "packs");
  return { server, folder, store: packStoreOf([pack], folder, server.url, changes) };
}

function stateOf(store: PackStore) {
  const [state] = store.list();
  const { installed, downloading, partialBytes = 0, outdated } = state ?? {};
  return { installed, downloading, partial: partialBytes > 0, outdated };
}

const nothing = { installed: false, downloading: false, partial: false, outdated: false };
const complete = { ...nothing, installed: true };

/** Every file of the pack as it was made, and nothing else in the folder of the packs. */
function expectInstalled(store: PackStore, folder: string): void {
  expect(stateOf(store)).toEqual(complete);
  const installed = store.installed();
  expect(installed?.libraries).toEqual(
    ["libcudart.so.13", "libcublas.so.13"].map((name) => join(installed?.folder ?? "", name)),
  );
  expect(installed?.backend).toBe(join(installed?.folder ?? "", "libggml-cuda.so"));
  for (const [name, content] of Object.entries(pack.contents)) {
    expect(readFileSync(join(installed?.folder ?? "", name)).equals(content)).toBe(true);
  }
  expect(readdirSync(folder)).toEqual([`cuda13-${pack.entry.archive.sha256.slice(0, 12)}`]);
}

describe("an installation", () => {
  test("downloads, checks and unpacks, and says how far it is", async () => {
    const { store, server, folder } = await storeWith([serving.good()]);
    expect(stateOf(store)).toEqual(nothing);
    const progress: DownloadProgress[] = [];
    await store.install("cuda13", { onProgress: (one) => progress.push(one) });
    expectInstalled(store, folder);
    expect(server.seen.map(({ path }) => path)).toEqual([`/download/v0.1.0/nmos-cuda13-${platform}.nmospack`]);
    expect(new Set(progress.map(({ ref }) => ref))).toEqual(new Set(["cuda13"]));
    expect(progress.at(-1)).toMatchObject({ phase: "unpacking", receivedBytes: progress.at(-1)?.totalBytes });
  });

  /** What a server does, and how an installation from it ends. */
  function check(what: string, script: () => Behaviour[], ends: string, changes: Partial<PackStoreOptions> = {}): void {
    test(`with ${what}: ${ends}`, async () => {
      const { store, folder } = await storeWith(script(), changes);
      const failure = await store.install("cuda13").then(() => null, toEngineError);
      expect(failure?.code ?? "installed").toBe(ends);
      if (failure) expect(store.installed()).toBeNull();
      else expectInstalled(store, folder);
    });
  }

  check(
    "a server that cuts the connection",
    () => [serving.breakAfter(150_000), serving.breakAfter(150_000), serving.good()],
    "installed",
  );
  check("a server that knows no ranges", () => [serving.breakAfter(200_000), serving.wholeFile], "installed");
  check(
    "a server that always breaks at the same place",
    () => [serving.wholeFileBreakingAfter(1_000)],
    "DOWNLOAD_FAILED",
  );
  check("wrong bytes", () => [serving.other(Buffer.alloc(pack.bytes.length))], "CHECKSUM_MISMATCH");
  check("a page instead", () => [serving.other(Buffer.from("<html>"))], "DOWNLOAD_FAILED");
  check("no such file", () => [serving.status(404)], "DOWNLOAD_FAILED");
  check("a full disk", () => [serving.good()], "DISK_FULL", { freeBytes: () => Promise.resolve(2 ** 20) });
  check("a disk that does not tell", () => [serving.good()], "installed", { freeBytes: () => Promise.resolve(null) });

  test("needs room for the download and for what is in it", async () => {
    const { sizeBytes, unpackedBytes } = pack.entry.archive;
    const margin = 200 * 2 ** 20;
    const enough = sizeBytes + unpackedBytes + margin;
    const { store, server } = await storeWith([serving.good()], { freeBytes: () => Promise.resolve(enough - 1) });
    await expect(store.install("cuda13")).rejects.toThrow(/There is no room for .* Free some space\.$/);
    expect(server.seen).toEqual([]);
    const other = await storeWith([serving.good()], { freeBytes: () => Promise.resolve(enough) });
    await other.store.install("cuda13");
  });

  test("without an address says what to do", async () => {
    const store = packStoreOf([pack], directory(), "");
    expect(store.list()[0]?.downloadable).toBe(false);
    await expect(store.install("cuda13")).rejects.toThrow("nmos.download.packMirror");
  });

  test("of an unknown pack names those there are", async () => {
    const { store } = await storeWith([serving.good()]);
    await expect(store.install("rocm")).rejects.toThrow("cuda13");
  });

  test("can be cancelled and goes on where it was", async () => {
    const { store, server, folder } = await storeWith([serving.stallAfter(300_000), serving.good()]);
    const leaving = new AbortController();
    const installing = store.install("cuda13", { signal: leaving.signal });
    await until(() => stateOf(store).partial);
    leaving.abort();
    await expect(installing).rejects.toMatchObject({ code: "CANCELLED" });
    expect(stateOf(store)).toEqual({ ...nothing, partial: true });
    await store.install("cuda13");
    expect(server.seen[1]?.range).toMatch(/^bytes=[1-9]\d*-$/);
    expectInstalled(store, folder);
  });

  test("cancelled while it unpacks leaves no folder and downloads nothing again", async () => {
    const { store, server, folder } = await storeWith([serving.good()]);
    const leaving = new AbortController();
    const onProgress = ({ phase }: DownloadProgress) => {
      if (phase === "unpacking") leaving.abort();
    };
    await expect(store.install("cuda13", { signal: leaving.signal, onProgress })).rejects.toMatchObject({
      code: "CANCELLED",
    });
    expect(readdirSync(folder)).toEqual([pack.entry.archive.file]);
    expect(stateOf(store)).toEqual({ ...nothing, partial: true });
    await store.install("cuda13");
    expect(server.seen).toHaveLength(1);
    expectInstalled(store, folder);
  });

  test("that was only downloaded is removed with what is left of it", async () => {
    const { store, folder } = await storeWith([]);
    mkdirSync(folder);
    writeFileSync(join(folder, pack.entry.archive.file), pack.bytes);
    expect(store.list()[0]?.partialBytes).toBe(pack.bytes.length);
    await store.remove("cuda13");
    expect(readdirSync(folder)).toEqual([]);
    expect(stateOf(store)).toEqual(nothing);
  });

  test("by two windows at once is one", async () => {
    const { store, server, folder } = await storeWith([serving.inPieces(20_000)]);
    const phases: string[] = [];
    const watched = { onProgress: ({ phase }: DownloadProgress) => phases.push(phase) };
    // A store of its own stands for another process: the lock is the same.
    const other = packStoreOf([pack], folder, server.url);
    await Promise.all([
      store.install("cuda13", watched),
      store.install("cuda13", watched),
      other.install("cuda13", watched),
    ]);
    expect(server.seen).toHaveLength(1);
    // Whichever came second.
    expect(phases).toContain("waiting");
    expectInstalled(store, folder);
    expectInstalled(other, folder);
  });
});

describe("a file", () => {
  test("is installed as a download is", async () => {
    const { store, server, folder } = await storeWith([]);
    await store.installFile(pack.path);
    expectInstalled(store, folder);
    expect(server.seen).toEqual([]);
    expect(existsSync(pack.path)).toBe(true);
  });

  test.each<[what: string, content: () => Buffer]>([
    ["with a bit that fell over", () => flipped(pack.bytes)],
    ["cut off", () => pack.bytes.subarray(0, 100_000)],
    ["that is something else", () => Buffer.from("GGUF")],
    ["without content", () => Buffer.alloc(0)],
  ])("%s is refused", async (_, content) => {
    const { store, folder } = await storeWith([]);
    const path = join(directory(), "a.nmospack");
    writeFileSync(path, content());
    await expect(store.installFile(path)).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
    await expect(store.installFile(path)).rejects.toThrow(`expected ${pack.entry.archive.file}`);
    expect(existsSync(folder)).toBe(false);
  });

  test("that is another one when it is unpacked is refused", async () => {
    const { store, folder } = await storeWith([]);
    const path = join(directory(), "a.nmospack");
    copyFileSync(pack.path, path);
    const swap = () => {
      writeFileSync(path, flipped(pack.bytes));
      return Promise.resolve();
    };
    await expect(store.installFile(path, {}, swap)).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
    expect(store.installed()).toBeNull();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("that changes while it is unpacked changes nothing", async () => {
    const { store, folder } = await storeWith([]);
    const path = join(directory(), "a.nmospack");
    copyFileSync(pack.path, path);
    const onProgress = ({ phase }: DownloadProgress) => {
      if (phase === "unpacking") writeFileSync(path, flipped(pack.bytes));
    };
    await store.installFile(path, { onProgress });
    expectInstalled(store, folder);
  });

  test("that is not there is refused", async () => {
    const { store } = await storeWith([]);
    await expect(store.installFile(join(directory(), "none"))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("does not fit a full disk", async () => {
    const { store } = await storeWith([], { freeBytes: () => Promise.resolve(1) });
    await expect(store.installFile(pack.path)).rejects.toMatchObject({ code: "DISK_FULL" });
  });
});

describe("what lies in the folder", () => {
  test("is removed when asked, with what is downloaded", async () => {
    const { store, folder } = await storeWith([]);
    await store.installFile(pack.path);
    writeFileSync(join(folder, `${pack.entry.archive.file}.part`), "bytes");
    await store.remove("cuda13");
    expect(readdirSync(folder)).toEqual([]);
    expect(stateOf(store)).toEqual(nothing);
  });

  test("stays while another process installs", async () => {
    const { store, folder } = await storeWith([]);
    await store.installFile(pack.path);
    const lock = tryProcessLock(join(folder, `${pack.entry.archive.file}.lock`));
    await expect(store.remove("cuda13")).rejects.toThrow("another process");
    lock?.dispose();
    expect(stateOf(store)).toEqual(complete);
  });

  test("counts only in full", async () => {
    const { store } = await storeWith([]);
    const folder = await store.installFile(pack.path);
    writeFileSync(join(folder, "libcublas.so.13"), "cut off");
    expect(store.installed()).toBeNull();
    await store.installFile(pack.path);
    expect(stateOf(store)).toEqual(complete);
    rmSync(join(folder, "manifest.json"));
    expect(store.installed()).toBeNull();
  });

  test("of an older version is not used, and goes with the update", async () => {
    const { store, folder } = await storeWith([]);
    const old = join(folder, "cuda13-0123456789ab");
    const installed = await store.installFile(pack.path);
    mkdirSync(old);
    copyFileSync(join(installed, "manifest.json"), join(old, "manifest.json"));
    rmSync(installed, { recursive: true });
    expect(stateOf(store)).toEqual({ ...nothing, outdated: true });
    await store.installFile(pack.path);
    expectInstalled(store, folder);
  });

  test("of an alternative goes, too", async () => {
    const other = await makePack(directory(), "cuda12");
    const folder = directory();
    const store = packStoreOf([pack, other], folder, "");
    await store.installFile(other.path);
    expect(store.installed()?.entry.id).toBe("cuda12");
    await store.installFile(pack.path);
    expectInstalled(store, folder);
  });

  test("of another version stays while an engine of that version runs", async () => {
    const { store, folder } = await storeWith([]);
    const installed = await store.installFile(pack.path);
    const old = join(folder, "cuda13-0123456789ab");
    mkdirSync(old);
    copyFileSync(join(installed, "manifest.json"), join(old, "manifest.json"));
    const engine = ["--import", "tsx", resolve("test/unit/engine/lock_racer.ts"), `${old}.used`, folder];
    const other = spawn(process.execPath, engine, { stdio: ["pipe", "ignore", "inherit"] });
    await until(() => existsSync(`${old}.used`));
    rmSync(installed, { recursive: true });
    await store.installFile(pack.path);
    expect(existsSync(join(old, "manifest.json"))).toBe(true);
    expect(stateOf(store)).toMatchObject({ installed: true });
    const ended = once(other, "exit");
    other.stdin.end();
    await ended;
    rmSync(installed, { recursive: true });
    await store.installFile(pack.path);
    expect(existsSync(old)).toBe(false);
  });

  test("that was left half done goes with the next start, but not that of somebody at work", async () => {
    const { store, folder } = await storeWith([]);
    await store.installFile(pack.path);
    for (const name of ["cuda13-0123456789ab.unpacking", "cuda12-0123456789ab"]) mkdirSync(join(folder, name));
    writeFileSync(join(folder, "a note.txt"), "of the user's");
    const lockPath = join(folder, `${pack.entry.archive.file}.lock`);
    const lock = tryProcessLock(lockPath);
    packStoreOf([pack], folder, "");
    expect(readdirSync(folder)).toContain("cuda13-0123456789ab.unpacking");
    lock?.dispose();
    packStoreOf([pack], folder, "");
    expect(readdirSync(folder).toSorted()).toEqual(["a note.txt", `cuda13-${pack.entry.archive.sha256.slice(0, 12)}`]);
  });
});

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const at = bytes.length >> 1;
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

/** Waits for something that happens on disk. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
