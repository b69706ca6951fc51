import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { fileAt } from "../../../src/engine/models/file_source";
import { copyChecked } from "../../../src/engine/models/copy_checked";
import type { DownloadProgress } from "../../../src/shared/download_progress";
import { toEngineError } from "../../../src/shared/errors";
import { storeOf, testModel } from "./store_fixture";
import { temporaryDirectories } from "./temporary_directory";

const directory = temporaryDirectories();
const model = testModel("tiny", 500_000);

/** A file of this content beside an empty models folder. */
function machine(content: Buffer) {
  const folder = join(directory(), "models");
  const path = join(directory(), "from a stick.gguf");
  writeFileSync(path, content);
  return { folder, path, store: storeOf([model], folder) };
}

describe("a model from a file", () => {
  test("is copied, checked and installed", async () => {
    const { store, path, folder } = machine(model.content);
    const progress: DownloadProgress[] = [];
    const target = join(folder, "tiny.gguf");
    expect(await store.installFile(path, { onProgress: (one) => progress.push(one) })).toBe(target);
    expect(readFileSync(target).equals(model.content)).toBe(true);
    expect(readdirSync(folder).toSorted()).toEqual(["tiny.gguf", "verified.json"]);
    expect(progress.at(-1)).toMatchObject({ ref: "tiny", receivedBytes: model.content.length });
    expect((await store.choose("tiny", "main")).path).toBe(target);
    expect(existsSync(path)).toBe(true);
  });

  test.each<[what: string, content: () => Buffer, code: string]>([
    ["with other bytes", () => Buffer.alloc(model.content.length), "CHECKSUM_MISMATCH"],
    ["that is cut off", () => model.content.subarray(0, 100), "MODEL_UNKNOWN"],
    ["of no model of the catalogue", () => Buffer.from("GGUF"), "MODEL_UNKNOWN"],
  ])("%s is refused and leaves nothing", async (_, content, code) => {
    const { store, path, folder } = machine(content());
    const failure = await store.installFile(path, {}).then(() => null, toEngineError);
    expect(failure?.code).toBe(code);
    expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([]);
  });

  test.each<[what: string, fails: () => Error, code: string, says: RegExp]>([
    ["the disk it lies on is gone", () => systemError("EIO"), "DOWNLOAD_FAILED", /^stick cannot be read \(EIO\)/],
    [
      "what lies there is no longer whole",
      () => new Error("invalid block"),
      "CHECKSUM_MISMATCH",
      /^stick is damaged: inv/,
    ],
  ])("leaves nothing when %s in the middle", async (_, fails, code, says) => {
    const { store, folder } = machine(model.content);
    async function* bytes(): AsyncGenerator<Buffer> {
      yield model.content.subarray(0, 1_000);
      await new Promise(setImmediate);
      throw fails();
    }
    const source = { label: "stick", path: null, open: () => Promise.resolve(Readable.from(bytes())) };
    const failure = await store.installFrom("tiny", source, {}).then(() => null, toEngineError);
    expect(failure?.code).toBe(code);
    expect(failure?.message).toMatch(says);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("that is not there is named", async () => {
    const { store, folder } = machine(model.content);
    await expect(store.installFile(join(folder, "none.gguf"), {})).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  });

  test("can be cancelled", async () => {
    const { store, path, folder } = machine(model.content);
    const leaving = new AbortController();
    const installing = store.installFile(path, {
      signal: leaving.signal,
      onProgress: () => {
        leaving.abort();
      },
    });
    await expect(installing).rejects.toMatchObject({ code: "CANCELLED" });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("whose copy is cancelled while the file is opened leaves nothing behind", async () => {
    const { path, folder } = machine(model.content);
    mkdirSync(folder);
    const options = {
      signal: AbortSignal.abort(),
      onProgress: () => undefined,
      freeBytes: () => Promise.resolve(null),
    };
    const copies = Array.from({ length: 40 }, (_, index) =>
      copyChecked(fileAt(path), join(folder, String(index)), { ...model.entry }, options),
    );
    const ends = await Promise.allSettled(copies);
    expect(ends.filter(({ status }) => status === "rejected")).toHaveLength(copies.length);
    expect(readdirSync(folder)).toEqual([]);
  });

  test.each<[what: string, free: number, left: string[]]>([
    ["is given up for it, where the disk is full", 0, []],
    ["stays for the next time, where there is room", 300_000, ["tiny.gguf.part"]],
  ])("when it is damaged: a download that was begun %s; a copy that was killed goes", async (_, free, left) => {
    const { path, folder } = machine(Buffer.alloc(model.content.length));
    mkdirSync(folder);
    writeFileSync(join(folder, "tiny.gguf.part"), Buffer.alloc(300_000));
    writeFileSync(join(folder, "tiny.gguf.arriving"), Buffer.alloc(200_000));
    const room = () => {
      const files = readdirSync(folder).filter((name) => !name.endsWith(".lock"));
      const used = files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
      return Promise.resolve(200 * 2 ** 20 + model.content.length + free - used);
    };
    const store = storeOf([model], folder, { freeBytes: room });
    await expect(store.installFile(path, {})).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
    expect(readdirSync(folder)).toEqual(left);
  });

  test("does not fit a full disk", async () => {
    const { path, folder } = machine(model.content);
    const store = storeOf([model], folder, { freeBytes: () => Promise.resolve(1) });
    await expect(store.installFile(path, {})).rejects.toMatchObject({ code: "DISK_FULL" });
  });

  test("that lies in the models folder already is only checked", async () => {
    const { store, folder } = machine(model.content);
    mkdirSync(folder);
    const path = join(folder, "tiny.gguf");
    writeFileSync(path, model.content);
    expect(await store.installFile(path, {})).toBe(path);
    writeFileSync(path, Buffer.alloc(model.content.length));
    await expect(store.installFile(path, {})).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
  });
});

/** As Node throws it. */
function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: i/o error, read`), { code, syscall: "read" });
}
