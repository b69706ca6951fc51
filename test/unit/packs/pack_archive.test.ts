import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { expectArchive, writePack } from "../../../scripts/setup/write_pack";
import { sha256Hex } from "../models/run_download";
import { temporaryDirectories } from "../models/temporary_directory";
import { entryOf, fileOf, makePack, packStoreOf, platform, zipOf, type TestPack } from "./pack_fixture";

const directory = temporaryDirectories();
let pack: TestPack;

beforeAll(async () => {
  pack = await makePack(directory());
});

describe("an archive whose checksum is right", () => {
  const manifest = {
    format: 1,
    id: "cuda13",
    platform,
    backend: "libggml-cuda.so",
    libraries: [],
    files: [fileOf("libggml-cuda.so", "backend")],
  };

  test.each<[what: string, files: Record<string, string>, says: string]>([
    [
      "leads out of its folder",
      {
        "manifest.json": JSON.stringify({ ...manifest, files: [...manifest.files, fileOf("../x", "")] }),
        "libggml-cuda.so": "backend",
      },
      "outside",
    ],
    ["lacks a file", { "manifest.json": JSON.stringify(manifest) }, "lacks libggml-cuda.so"],
    ["lacks its manifest", { "libggml-cuda.so": "backend" }, "no manifest.json"],
    [
      "holds more than it says",
      { "manifest.json": JSON.stringify(manifest), "libggml-cuda.so": "backend", "other.so": "x" },
      "other.so",
    ],
    [
      "has another content",
      { "manifest.json": JSON.stringify(manifest), "libggml-cuda.so": "BACKEND" },
      "not what its manifest says",
    ],
    [
      "has a longer content",
      { "manifest.json": JSON.stringify(manifest), "libggml-cuda.so": "backend and more" },
      "longer",
    ],
    [
      "is another pack",
      { "manifest.json": JSON.stringify({ ...manifest, id: "cuda12" }), "libggml-cuda.so": "backend" },
      "another pack",
    ],
  ])("but %s is refused and leaves nothing", async (_, files, says) => {
    const bytes = await zipOf(files);
    await refuse(bytes, says);
  });

  test("but is no archive is refused", () =>
    refuse(Buffer.from("no archive at all, but long enough to be read"), "no usable pack"));

  async function refuse(bytes: Buffer, says: string): Promise<void> {
    const path = join(directory(), "a.nmospack");
    writeFileSync(path, bytes);
    const sha256 = sha256Hex(bytes);
    const archive = { file: "a.nmospack", sizeBytes: bytes.length, sha256, unpackedBytes: 1_000 };
    const folder = directory();
    const store = packStoreOf([{ ...pack, entry: entryOf("cuda13", archive) }], folder, "");
    await expect(store.installFile(path)).rejects.toThrow(says);
    expect(store.installed()).toBeNull();
    expect(readdirSync(folder)).toEqual([]);
  }
});

test("the builder makes the same bytes again", async () => {
  const { entry } = pack;
  const copy = join(directory(), "copy");
  mkdirSync(copy);
  const again = await writeAgain(copy);
  expect(again).toEqual(entry.archive);
  expectArchive(again, entry.archive);
  const sha256 = "0".repeat(64);
  expect(() => {
    expectArchive(again, { ...entry.archive, sha256 });
  }).toThrow(`${entry.archive.file} is not the pack of src/engine/packs/pack_catalogue.json: sha256 ${again.sha256}`);
});

/** The same files, given to the builder another time. */
function writeAgain(folder: string) {
  const files = Object.entries(pack.contents).map(([name, content]) => {
    const path = join(folder, name.replace("/", "-"));
    writeFileSync(path, content);
    return { name, path };
  });
  const head = {
    id: "cuda13",
    platform,
    backend: "libggml-cuda.so",
    libraries: ["libcudart.so.13", "libcublas.so.13"],
  };
  return writePack(join(folder, pack.entry.archive.file), head, files);
}
