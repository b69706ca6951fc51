import { chmodSync, existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Options } from "yazl";
import { toEngineError } from "../../../src/shared/errors";
import type { DownloadProgress } from "../../../src/shared/download_progress";
import { testModel } from "../models/store_fixture";
import { temporaryDirectories } from "../models/temporary_directory";
import { gtx1650, makePack, platform, type TestPack } from "../packs/pack_fixture";
import {
  archiveOf,
  folderOf,
  looseArchive,
  machineAt,
  makeArchive,
  nothing,
  spoilt,
  version,
  vsixOf,
  type Machine,
} from "./archive_fixture";

const directory = temporaryDirectories();
const model = testModel("tiny", 300_000);
const unknownModel = testModel("later", 100_000);
let pack: TestPack;
let alternative: TestPack;

beforeAll(async () => {
  pack = await makePack(directory());
  alternative = await makePack(directory(), "cuda12");
});

function machine(options: Partial<Parameters<typeof machineAt>[1]> = {}): Machine {
  return machineAt(directory(), { packs: [pack, alternative], models: [model], ...options });
}

const both = () => ({ packs: [pack], models: [model] });

/** What is there once both are installed. */
const complete = () => ({ ...nothing, models: ["tiny.gguf", "verified.json"], packs: [folderOf(pack)] });

const named = {
  pack: { kind: "pack", name: "CUDA 13" },
  model: { kind: "model", name: "Model tiny" },
};

/** A disk with just so much room. */
function roomFor(bytes: number) {
  return () => Promise.resolve(bytes + 200 * 2 ** 20);
}

/** How an installation ends: its result, or an error. */
function install(on: Machine, path: string, signal?: AbortSignal) {
  return on.installer.install(path, signal ? { signal } : {});
}

function written(bytes: Buffer): string {
  const path = join(directory(), "archive.zip");
  writeFileSync(path, bytes);
  return path;
}

describe("an archive", () => {
  test("installs packs and models, says how far it is and what came of it", async () => {
    const on = machine();
    const path = await makeArchive(directory(), both());
    const before = readFileSync(path);
    const progress: DownloadProgress[] = [];
    const result = await on.installer.install(path, { onProgress: (one) => progress.push(one) });
    expect(result).toEqual({ installed: [named.pack, named.model], present: [], left: [], update: null });
    expect(on.found()).toEqual(complete());
    expect(readFileSync(join(on.modelsDirectory, "tiny.gguf")).equals(model.content)).toBe(true);
    for (const [name, content] of Object.entries(pack.contents)) {
      expect(readFileSync(join(on.packsDirectory, folderOf(pack), name)).equals(content)).toBe(true);
    }
    expect([...new Set(progress.map(({ ref }) => ref))]).toEqual(["CUDA 13", "Model tiny"]);
    expect([...new Set(progress.map(({ phase }) => phase))]).toEqual(["verifying", "copying", "unpacking"]);
    const received = progress.map(({ receivedBytes }) => receivedBytes);
    expect(received).toEqual(received.toSorted((a, b) => a - b));
    expect(received.at(-1)).toBe(progress[0]?.totalBytes);
    expect(new Set(progress.map(({ totalBytes }) => totalBytes)).size).toBe(1);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("a second time finds everything there", async () => {
    const on = machine();
    const path = await makeArchive(directory(), both());
    await install(on, path);
    expect(await install(on, path)).toEqual({
      installed: [],
      present: [named.pack, named.model],
      left: [],
      update: null,
    });
    expect(on.found()).toEqual(complete());
  });

  test("installs what is missing beside what is there", async () => {
    const on = machine();
    await install(on, await makeArchive(directory(), { models: [model] }));
    const result = await install(on, await makeArchive(directory(), both()));
    expect(result).toMatchObject({ installed: [named.pack], present: [named.model] });
    expect(on.found()).toEqual(complete());
  });

  test("replaces a damaged file of the model's size, and can be cancelled while that is checked", async () => {
    const on = machine();
    const target = join(on.modelsDirectory, "tiny.gguf");
    mkdirSync(on.modelsDirectory);
    writeFileSync(target, Buffer.alloc(model.content.length));
    const path = await makeArchive(directory(), { models: [model] });
    const leaving = new AbortController();
    let reports = 0;
    // The first one says that the model begins.
    const onProgress = ({ phase }: DownloadProgress) => {
      if (phase === "verifying" && ++reports === 2) leaving.abort();
    };
    const cancelled = on.installer.install(path, { signal: leaving.signal, onProgress });
    await expect(cancelled).rejects.toMatchObject({ code: "CANCELLED" });
    expect(readFileSync(target).equals(Buffer.alloc(model.content.length))).toBe(true);
    await install(on, path);
    expect(readFileSync(target).equals(model.content)).toBe(true);
    expect(on.found().models).toEqual(["tiny.gguf", "verified.json"]);
  });

  test("needs no room for what an earlier try has left, and removes it", async () => {
    const on = machine({ changes: { freeBytes: roomFor(0) } });
    mkdirSync(on.modelsDirectory);
    const [arriving, part] = ["arriving", "part"].map((name) => join(on.modelsDirectory, `tiny.gguf.${name}`));
    writeFileSync(arriving ?? "", model.content.subarray(0, 100_000));
    writeFileSync(part ?? "", model.content.subarray(0, 200_000));
    await install(on, await makeArchive(directory(), { models: [model] }));
    expect(on.found().models).toEqual(["tiny.gguf", "verified.json"]);
  });

  test.each<[what: string, name: string[]]>([
    ["an umlaut and Chinese characters", ["Über die Brücke", "模型 和 更多 ✓.zip"]],
    ["long names", ["a".repeat(200), "b".repeat(200), `${"c".repeat(200)}.zip`]],
  ])("may have %s in its path, cannot be written and is for a folder like that", async (_, names) => {
    const on = machineAt(join(directory(), ...names), { packs: [pack], models: [model] });
    const folder = join(directory(), ...names);
    const path = await makeArchive(folder, both());
    chmodSync(path, 0o444);
    chmodSync(folder, 0o555);
    try {
      await install(on, path);
    } finally {
      chmodSync(folder, 0o755);
    }
    expect(on.found()).toEqual(complete());
  });

  test.each<[what: string, options: Partial<Options>]>([
    ["compressed again by somebody", { compress: true }],
    ["in the format for large files", { compress: false, forceZip64Format: true }],
  ])("may be %s", async (_, options) => {
    const on = machine();
    const { manifest, files } = await looseArchive(directory(), both());
    await install(on, written(await archiveOf(manifest, files, options)));
    expect(on.found()).toEqual(complete());
  });
});

describe("of several packs", () => {
  const packsOf = async (on: Machine) =>
    install(on, await makeArchive(directory(), { packs: [alternative, pack], models: [model] }));

  test("the one that suits the card is installed", async () => {
    const on = machine({ cards: [gtx1650] });
    const { installed, left } = await packsOf(on);
    expect(installed).toEqual([named.pack, named.model]);
    expect(left).toEqual([expect.objectContaining({ kind: "pack", reason: "CUDA 13 is the one for this machine" })]);
    expect(on.found()).toEqual(complete());
  });

  test("none is installed where no card is seen, and that is said", async () => {
    const on = machine({ cards: [], changes: { freeBytes: roomFor(model.content.length) } });
    const { installed, left } = await packsOf(on);
    expect(installed).toEqual([named.model]);
    expect(left).toHaveLength(2);
    expect(new Set(left.map(({ reason }) => reason))).toEqual(new Set(["no NVIDIA card was found"]));
    expect(on.found().packs).toEqual([]);
  });

  test("the one that is installed stays where no card is seen", async () => {
    const cards = [{ ...gtx1650 }];
    const on = machine({ cards });
    const path = await makeArchive(directory(), { packs: [alternative, pack], models: [model] });
    await install(on, await makeArchive(directory(), both()));
    cards.length = 0;
    const { present, left } = await install(on, path);
    expect(present).toEqual([named.pack, named.model]);
    expect(left).toHaveLength(1);
    expect(on.found()).toEqual(complete());
  });

  test("one that does not suit the card best is left", async () => {
    const on = machine({ cards: [gtx1650] });
    const { installed, left } = await install(on, await makeArchive(directory(), { packs: [alternative] }));
    expect(installed).toEqual([]);
    expect(left[0]?.reason).toBe("CUDA 13 is the one for this machine: make the archive with --pack cuda13");
    expect(on.found()).toEqual(nothing);
  });

  test("one that needs a newer driver is left, and both ways out are told", async () => {
    const older = { ...alternative, entry: { ...alternative.entry, title: "CUDA 12", compileDriver: 550 } };
    const on = machine({ packs: [pack, older], cards: [{ ...gtx1650, driver: "560.94" }] });
    const { installed, left } = await install(on, await makeArchive(directory(), both()));
    expect(installed).toEqual([named.model]);
    const reason =
      "CUDA 12 is the one for this machine: make the archive with --pack cuda12, or install driver 590 or later";
    expect(left).toEqual([{ ...named.pack, reason }]);
  });

  test("none is installed when none suits the card, and the reason is told", async () => {
    const on = machine({ cards: [{ ...gtx1650, driver: "400.1" }] });
    const { installed, left } = await packsOf(on);
    expect(installed).toEqual([named.model]);
    expect(left).toHaveLength(2);
    expect(left[0]?.reason).toMatch(/driver/);
    expect(on.found().packs).toEqual([]);
  });
});

describe("a version of NMOS in the archive that is", () => {
  test("newer is taken out for whoever asked; what only that knows is left", async () => {
    const on = machine();
    const vsix = await vsixOf({ version: "0.10.0" });
    const path = await makeArchive(directory(), { models: [model, unknownModel], version: "0.10.0", vsix });
    const { installed, left, update } = await install(on, path);
    expect(installed).toEqual([named.model]);
    expect(left).toEqual([{ kind: "model", name: "later", reason: expect.stringContaining("NMOS 0.10.0") as string }]);
    expect(update?.version).toBe("0.10.0");
    expect(readFileSync(update?.path ?? "").equals(vsix)).toBe(true);
  });

  test("asked about in one window stays while another one installs, and is not left for ever", async () => {
    const on = machine();
    const path = await makeArchive(directory(), { version: "0.2.0" });
    const first = await install(on, path);
    const second = await install(on, path);
    expect(new Set([first, second].map(({ update }) => existsSync(update?.path ?? "") && update?.path)).size).toBe(2);
    const [yesterday] = on.found().updates;
    utimesSync(join(on.updates, yesterday ?? ""), 0, 0);
    await install(on, await makeArchive(directory(), both()));
    expect(on.found().updates).toHaveLength(2);
    await install(on, path);
    expect(on.found().updates).toHaveLength(2);
    expect(on.found().updates).not.toContain(yesterday);
  });

  test.each([version, "0.0.99"])("%s is not", async (archived) => {
    const on = machine();
    const { installed, update } = await install(on, await makeArchive(directory(), { ...both(), version: archived }));
    expect(installed).toHaveLength(2);
    expect(update).toBeNull();
    expect(on.found()).toEqual(complete());
  });

  test.each<[what: string, vsix: () => Buffer | Promise<Buffer>, says: string]>([
    ["of somebody else", () => vsixOf({ version: "0.2.0", publisher: "other" }), "it is other.nmos 0.2.0"],
    ["of another version", () => vsixOf({ version: "0.3.0" }), "it is nmos.nmos 0.3.0, expected nmos.nmos 0.2.0"],
    ["no extension at all", () => Buffer.from("no archive, but long enough to be read"), "no usable extension"],
  ])("newer but %s is refused and not left lying around", async (_, vsix, says) => {
    const on = machine();
    const path = await makeArchive(directory(), { version: "0.2.0", vsix: await vsix() });
    await expect(install(on, path)).rejects.toThrow(says);
    expect(on.found()).toEqual(nothing);
  });
});

describe("refused before anything is copied is an archive", () => {
  async function refuse(path: string, code: string, says: string | RegExp): Promise<void> {
    const on = machine();
    const failure = await install(on, path).then(() => null, toEngineError);
    expect(failure?.code).toBe(code);
    expect(failure?.message).toMatch(says);
    expect(failure?.message).toContain(path);
    expect(on.found()).toEqual(nothing);
  }

  test.each<[what: string, damage: (bytes: Buffer) => Buffer]>([
    ["cut off in the middle", (bytes) => bytes.subarray(0, bytes.length >> 1)],
    ["without its last byte", (bytes) => bytes.subarray(0, -1)],
    ["without content", () => Buffer.alloc(0)],
    ["that is none", () => Buffer.from("GGUF")],
    ["of zeros", (bytes) => Buffer.alloc(bytes.length)],
  ])("%s", async (_, damage) => {
    const bytes = readFileSync(await makeArchive(directory(), both()));
    await refuse(written(damage(bytes)), "CHECKSUM_MISMATCH", "no usable archive");
  });

  test("that is not there", () => refuse(join(directory(), "none.zip"), "INVALID_ARGUMENT", "no such file"));

  test("that is a pack", async () => {
    await refuse(pack.path, "CHECKSUM_MISMATCH", "holds no nmos-offline.json");
  });

  test("with a file that leads out of it", async () => {
    const { manifest, files } = await looseArchive(directory(), both());
    const bytes = await archiveOf(manifest, { ...files, "aa/evil": Buffer.from("evil") });
    const changed = Buffer.from(bytes.toString("latin1").replaceAll("aa/evil", "../evil"), "latin1");
    await refuse(written(changed), "CHECKSUM_MISMATCH", "invalid relative path");
  });

  test("that lacks a file", async () => {
    const { manifest, files } = await looseArchive(directory(), both());
    const others = Object.fromEntries(Object.entries(files).filter(([name]) => name !== "tiny.gguf"));
    await refuse(written(await archiveOf(manifest, others)), "CHECKSUM_MISMATCH", "it lacks tiny.gguf");
  });

  test("with a file of another size", async () => {
    const { manifest, files } = await looseArchive(directory(), both());
    const bytes = await archiveOf(manifest, { ...files, "tiny.gguf": model.content.subarray(1) });
    await refuse(written(bytes), "CHECKSUM_MISMATCH", "tiny.gguf has 299999 bytes, expected 300000");
  });

  test("for another platform", async () => {
    const path = await makeArchive(directory(), { target: "win32-x64" });
    await refuse(path, "INVALID_ARGUMENT", `is for win32-x64, but this machine is ${platform}`);
  });

  test.each([
    [version, /another build of NMOS 0\.1\.0 .*later\.gguf.*Take the VSIX out .* reload the windows/],
    ["0.0.9", /made with NMOS 0\.0\.9 .*later\.gguf.*Make the archive with NMOS 0\.1\.0/],
  ])("of version %s with what this NMOS does not know", async (archived, says) => {
    const path = await makeArchive(directory(), { models: [model, unknownModel], version: archived });
    await refuse(path, "INVALID_ARGUMENT", says);
  });

  test("with two files of one name", async () => {
    const { manifest, files } = await looseArchive(directory(), both());
    const bytes = await archiveOf(manifest, { ...files, "tiny.ggux": model.content });
    const changed = Buffer.from(bytes.toString("latin1").replaceAll("tiny.ggux", "tiny.gguf"), "latin1");
    await refuse(written(changed), "CHECKSUM_MISMATCH", "it lists tiny.gguf twice");
  });

  test("with the pack of another version", async () => {
    const other = await makePack(directory());
    const path = await makeArchive(directory(), { packs: [other] });
    await refuse(path, "INVALID_ARGUMENT", other.entry.archive.sha256);
  });

  test("that does not fit the disk with all that is in it", async () => {
    const { sizeBytes, unpackedBytes } = pack.entry.archive;
    const enough = sizeBytes + unpackedBytes + model.content.length + 200 * 2 ** 20;
    const path = await makeArchive(directory(), both());
    const full = machine({ changes: { freeBytes: () => Promise.resolve(enough - 1) } });
    await expect(install(full, path)).rejects.toMatchObject({ code: "DISK_FULL" });
    expect(full.found()).toEqual(nothing);
    const roomy = machine({ changes: { freeBytes: () => Promise.resolve(enough) } });
    await install(roomy, path);
    expect(roomy.found()).toEqual(complete());
    // What is there needs no room.
    const filled = machineAt(join(roomy.modelsDirectory, ".."), {
      packs: [pack],
      models: [model],
      changes: { freeBytes: () => Promise.resolve(200 * 2 ** 20) },
    });
    expect((await install(filled, path)).present).toHaveLength(2);
  });
});

describe("a file that is not what it should be", () => {
  test("of a model leaves nothing of it; the pack before it stays", async () => {
    const on = machine();
    const bytes = readFileSync(await makeArchive(directory(), both()));
    const path = written(spoilt(bytes, model.content, 150_000));
    await expect(install(on, path)).rejects.toThrow(/^tiny\.gguf in .* has the SHA-256 .*, but Model tiny has /);
    expect(on.found()).toEqual({ ...nothing, packs: [folderOf(pack)] });
    await install(on, written(bytes));
    expect(on.found()).toEqual(complete());
  });

  test("of a pack leaves nothing of it", async () => {
    const on = machine();
    const bytes = readFileSync(await makeArchive(directory(), both()));
    const path = written(spoilt(bytes, pack.bytes, 150_000));
    await expect(install(on, path)).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
    expect(on.found()).toEqual(nothing);
  });

  test("of a newer NMOS is not handed out", async () => {
    const on = machine();
    const vsix = await vsixOf({ version: "0.2.0" });
    const bytes = readFileSync(await makeArchive(directory(), { version: "0.2.0", vsix }));
    await expect(install(on, written(spoilt(bytes, vsix, 40)))).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
    expect(on.found()).toEqual(nothing);
  });

  test("whose place in the archive is lost is told", async () => {
    const on = machine();
    const bytes = readFileSync(await makeArchive(directory(), { models: [model] }));
    // The header before the model begins with PK and ends with the name.
    const header = bytes.lastIndexOf("PK\x03\x04", bytes.indexOf(model.content.subarray(0, 100)), "latin1");
    bytes.write("XX", header);
    await expect(install(on, written(bytes))).rejects.toThrow(/no usable archive: tiny\.gguf: /);
    expect(on.found()).toEqual(nothing);
  });
});

describe("an installation that is cancelled", () => {
  test.each<[what: string, ref: string, phase: DownloadProgress["phase"], left: () => ReturnType<Machine["found"]>]>([
    ["while the pack is copied", "CUDA 13", "copying", () => nothing],
    ["while the pack is unpacked", "CUDA 13", "unpacking", () => nothing],
    ["before the model", "Model tiny", "verifying", () => ({ ...nothing, packs: [folderOf(pack)] })],
    ["while the model is copied", "Model tiny", "copying", () => ({ ...nothing, packs: [folderOf(pack)] })],
  ])("%s leaves nothing half and can be done again", async (_, ref, phase, left) => {
    const on = machine();
    const path = await makeArchive(directory(), both());
    const leaving = new AbortController();
    const installing = on.installer.install(path, {
      signal: leaving.signal,
      onProgress: (progress) => {
        if (progress.ref === ref && progress.phase === phase) leaving.abort();
      },
    });
    await expect(installing).rejects.toMatchObject({ code: "CANCELLED" });
    expect(on.found()).toEqual(left());
    await install(on, path);
    expect(on.found()).toEqual(complete());
  });

  test("while the newer NMOS is copied leaves no VSIX", async () => {
    const on = machine();
    const path = await makeArchive(directory(), { version: "0.2.0" });
    const leaving = new AbortController();
    const onProgress = () => {
      leaving.abort();
    };
    await expect(on.installer.install(path, { signal: leaving.signal, onProgress })).rejects.toMatchObject({
      code: "CANCELLED",
    });
    expect(on.found()).toEqual(nothing);
  });
});

test("a second archive waits for its turn with the user", async () => {
  const on = machine();
  const path = await makeArchive(directory(), both());
  const first = install(on, path);
  await expect(install(on, path)).rejects.toThrow("An archive is being installed");
  await first;
  expect((await install(on, path)).present).toHaveLength(2);
});
