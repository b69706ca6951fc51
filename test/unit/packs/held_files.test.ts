import type FileSystem from "node:fs";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type FilePromises from "node:fs/promises";
import { basename, join } from "node:path";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { BackendTrial } from "../../../src/engine/packs/backend_trial";
import { temporaryDirectories } from "../models/temporary_directory";
import { makePack, packStoreOf, type TestPack } from "./pack_fixture";

/** Names that the system does not remove, or not even look at, as Windows with files that are in use. */
const held = vi.hoisted(() => ({ removing: new Map<string, string>(), looking: new Map<string, string>() }));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof FileSystem>();
  const path = await import("node:path");
  const refuse = (codes: Map<string, string>, file: unknown) => {
    const code = codes.get(path.basename(String(file)));
    if (code !== undefined) throw Object.assign(new Error(`${code}: ${String(file)}`), { code });
  };
  const rmSync: typeof fs.rmSync = (file, options) => {
    refuse(held.removing, file);
    fs.rmSync(file, options);
  };
  const statSync = ((file: string, options: object) => {
    refuse(held.looking, file);
    return fs.statSync(file, options);
  }) as typeof fs.statSync;
  const readFileSync = ((file: string, options: "utf8") => {
    refuse(held.looking, file);
    return fs.readFileSync(file, options);
  }) as typeof fs.readFileSync;
  return { ...fs, rmSync, statSync, readFileSync };
});

vi.mock("node:fs/promises", async (original) => {
  const fs = await original<typeof FilePromises>();
  const path = await import("node:path");
  const rm: typeof fs.rm = async (file, options) => {
    const code = held.removing.get(path.basename(String(file)));
    if (code !== undefined) throw Object.assign(new Error(code), { code });
    await fs.rm(file, options);
  };
  return { ...fs, rm };
});

const directory = temporaryDirectories();
let pack: TestPack;

beforeAll(async () => {
  pack = await makePack(directory());
});

afterEach(() => {
  held.removing.clear();
  held.looking.clear();
});

describe("what lies in the folder of the packs and", () => {
  async function installed(): Promise<{ home: string; folder: string }> {
    const home = directory();
    const folder = await packStoreOf([pack], home, "").installFile(pack.path);
    return { home, folder };
  }

  test.each(["EACCES", "EIO", "EBUSY"])("cannot be read for now (%s) is still there later", async (code) => {
    const { home, folder } = await installed();
    held.looking.set("manifest.json", code);
    expect(packStoreOf([pack], home, "").installed()).toBeNull();
    held.looking.clear();
    expect(packStoreOf([pack], home, "").installed()?.folder).toBe(folder);
  });

  test("is of a newer format stays", async () => {
    const { home, folder } = await installed();
    writeFileSync(join(folder, "manifest.json"), JSON.stringify({ format: 99 }));
    expect(packStoreOf([pack], home, "").installed()).toBeNull();
    expect(existsSync(join(folder, "libggml-cuda.so"))).toBe(true);
  });

  test("cannot be removed keeps no engine from starting", async () => {
    const { home } = await installed();
    const left = join(home, "cuda12-0123456789ab");
    mkdirSync(left);
    held.removing.set("manifest.json", "EPERM");
    held.removing.set(basename(left), "EPERM");
    expect(packStoreOf([pack], home, "").installed()).not.toBeNull();
    expect(existsSync(left)).toBe(true);
  });

  test("whose manifest cannot be removed is not said to be removed", async () => {
    const { home } = await installed();
    const store = packStoreOf([pack], home, "");
    held.removing.set("manifest.json", "EPERM");
    await expect(store.remove("cuda13")).rejects.toThrow("cannot be written (EPERM)");
    expect(store.installed()).not.toBeNull();
  });

  test("a running engine holds is told before anything is copied or downloaded", async () => {
    const { home, folder } = await installed();
    const store = packStoreOf([pack], home, "http://127.0.0.1:9/never-asked");
    held.removing.set(basename(folder), "EPERM");
    await store.remove("cuda13");
    for (const installing of [store.install("cuda13"), store.installFile(pack.path)]) {
      await expect(installing).rejects.toThrow(/\(EPERM\).* Restart the engine first, then install CUDA 13 again\.$/);
    }
    expect(readdirSync(home).filter((name) => name.includes("nmospack"))).toEqual([]);
  });
});

test("a trial that cannot be withdrawn is told to the log, and withdrawn the next time", () => {
  const file = join(directory(), "cuda.trial");
  const lines: string[] = [];
  const trial = new BackendTrial(file, (line) => lines.push(line));
  expect(trial.begin()).toBe(true);
  held.removing.set("cuda.trial", "EBUSY");
  trial.passed();
  expect(lines.join()).toContain("EBUSY");
  expect(readFileSync(file, "utf8")).not.toBe("");
  held.removing.clear();
  trial.passed();
  expect(existsSync(file)).toBe(false);
});
