import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { packageOffline, type OfflineOptions } from "../../../scripts/setup/offline_archive";
import { listZip } from "../../../scripts/setup/zip_listing";
import { folderOf, machineAt, vsixOf } from "../archive/archive_fixture";
import { testModel } from "../models/store_fixture";
import { temporaryDirectories } from "../models/temporary_directory";
import { makePack, platform, type TestPack } from "../packs/pack_fixture";

const directory = temporaryDirectories();
const model = testModel("tiny", 300_000);
let pack: TestPack;
let vsix: Buffer;

beforeAll(async () => {
  pack = await makePack(directory());
  vsix = await vsixOf({ version: "0.2.0" });
});

/** Runs the packaging with small files in the place of what it builds and fetches. */
async function archive(changes: Partial<OfflineOptions> = {}, content: Buffer = model.content) {
  const folder = join(directory(), "artifacts");
  const files = directory();
  const asked: string[] = [];
  const put = (name: string, bytes: Buffer): Promise<string> => {
    asked.push(name);
    writeFileSync(join(files, name), bytes);
    return Promise.resolve(join(files, name));
  };
  const written: number[] = [];
  const making = packageOffline(
    {
      version: "0.2.0",
      target: platform,
      packs: ["cuda13"],
      models: ["tiny"],
      folder,
      catalogue: [model.entry],
      onProgress: (bytes) => written.push(bytes),
      ...changes,
    },
    {
      extension: (target) => put(`nmos-${target}.vsix`, vsix),
      pack: (id, target) => put(`nmos-${id}-${target}.nmospack`, pack.bytes),
      model: (id) => put(`${id}.gguf`, content),
    },
  );
  return { folder, asked, written, ...(await making.then((path) => ({ path, failure: "" }), failed)) };
}

function failed(thrown: unknown): { path: string; failure: string } {
  return { path: "", failure: String(thrown) };
}

describe("an archive for machines without a network", () => {
  test("holds what was asked for, stored as it is, the extension first", async () => {
    const { path, folder, written } = await archive();
    expect(readdirSync(folder)).toEqual([`nmos-offline-${platform}.zip`]);
    const [manifest, extension, ...parts] = [
      "nmos-offline.json",
      `nmos-${platform}.vsix`,
      pack.entry.archive.file,
      "tiny.gguf",
    ];
    expect(await listZip(path)).toEqual(["README.txt", manifest, extension, ...parts]);
    const bytes = readFileSync(path);
    for (const part of [vsix, pack.bytes, model.content]) expect(bytes.includes(part)).toBe(true);
    expect(bytes.includes(`copy nmos-${platform}.vsix out of it.\r\n`)).toBe(true);
    expect(bytes.includes("- Model tiny: Apache-2.0, https://example.org/license\r\n")).toBe(true);
    expect(written.at(-1)).toBe(bytes.length);
  });

  test("has its sizes before what people take out of it", async () => {
    const { path } = await archive();
    const bytes = readFileSync(path);
    const header = bytes.lastIndexOf("PK\x03\x04", bytes.indexOf(vsix.subarray(0, 100)) - 1, "latin1");
    expect(bytes.readUInt16LE(header + 6) & 8).toBe(0);
    expect(bytes.readUInt32LE(header + 18)).toBe(vsix.length);
  });

  test("is installed by the product, which is offered the newer version", async () => {
    const { path } = await archive();
    const on = machineAt(directory(), { packs: [pack], models: [model] });
    const { installed, left, update } = await on.installer.install(path, {});
    expect(installed.map(({ name }) => name)).toEqual(["CUDA 13", "Model tiny"]);
    expect(left).toEqual([]);
    expect(on.found()).toMatchObject({ models: ["tiny.gguf", "verified.json"], packs: [folderOf(pack)] });
    expect(readFileSync(update?.path ?? "").equals(vsix)).toBe(true);
  });

  test("makes the packs before the extension, which knows their checksums, and fetches models when that is built", async () => {
    const { asked } = await archive();
    expect(asked).toEqual([pack.entry.archive.file, `nmos-${platform}.vsix`, "tiny.gguf"]);
  });

  test("may hold the extension alone", async () => {
    const { path } = await archive({ packs: [], models: [] });
    expect(await listZip(path)).toEqual(["README.txt", "nmos-offline.json", `nmos-${platform}.vsix`]);
    const on = machineAt(directory(), { packs: [], models: [], changes: { version: "0.2.0" } });
    expect(await on.installer.install(path, {})).toEqual({ installed: [], present: [], left: [], update: null });
  });

  test.each<[what: string, content: () => Buffer, says: string]>([
    ["other bytes than the catalogue's", () => Buffer.alloc(model.content.length), `expected ${model.entry.sha256}`],
    ["bytes missing", () => model.content.subarray(1), "has 299999 bytes, expected 300000"],
  ])("is not made of a model with %s", async (_, content, says) => {
    const { failure, folder } = await archive({}, content());
    expect(failure).toContain(says);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("that is there stays when a new one cannot be made", async () => {
    const { folder, path } = await archive();
    const before = readFileSync(path);
    const { failure } = await archive({ folder }, Buffer.alloc(model.content.length));
    expect(failure).not.toBe("");
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(existsSync(`${path}.part`)).toBe(false);
  });

  test("holds only models of the catalogue", async () => {
    const { failure, asked } = await archive({ models: ["other"] });
    expect(failure).toContain("Expected one of tiny, got other.");
    expect(asked).not.toContain("other.gguf");
  });
});
