import {
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import * as checksum from "../../../src/engine/models/checksum";
import { PartialFile } from "../../../src/engine/models/partial_file";
import { toEngineError } from "../../../src/shared/errors";
import { storeOf, testModel, type TestModel } from "./store_fixture";
import { temporaryDirectories } from "./temporary_directory";

const directory = temporaryDirectories();
const small = testModel("small", 1_000);
const middle = testModel("middle", 2_000);
const large = testModel("large", 3_000, { roles: ["main"] });
const huge = testModel("huge", 4_000, { requiredBytes: 64 * 2 ** 30 });
const chatOnly = testModel("chat-only", 500, { roles: ["main"], trainedForCode: false });
const all = [small, middle, large, huge, chatOnly];

function folderWith(models: readonly TestModel[]): string {
  const folder = directory();
  for (const { entry, content } of models) writeFileSync(join(folder, entry.file), content);
  return folder;
}

/** What `choose` ends with: the model's id or path, or the code of the failure. */
async function chosen(store: ReturnType<typeof storeOf>, choice: string, role: "fast" | "main"): Promise<string> {
  return store.choose(choice, role).then(
    ({ ref }) => ref,
    (thrown: unknown) => toEngineError(thrown).code,
  );
}

describe("auto", () => {
  const cases: [installed: string, fast: string, main: string][] = [
    ["small middle large huge chat-only", "small", "large"],
    ["middle large", "middle", "large"],
    ["small", "small", "small"],
    ["middle", "middle", "middle"],
    ["huge", "huge", "huge"],
    ["huge middle", "middle", "middle"],
    ["large", "MODEL_NOT_INSTALLED", "large"],
    ["chat-only", "MODEL_NOT_INSTALLED", "chat-only"],
    ["", "MODEL_NOT_INSTALLED", "MODEL_NOT_INSTALLED"],
  ];

  it.each(cases)("of [%s] is %s for ghost text and %s for chat", async (names, fast, main) => {
    const installed = all.filter(({ entry }) => names.split(" ").includes(entry.id));
    const store = storeOf(all, folderWith(installed));
    expect([await chosen(store, "auto", "fast"), await chosen(store, "auto", "main")]).toEqual([fast, main]);
  });

  /** A file as small as its name is short, with these strings of the format in its metadata. */
  function ownFile(folder: string, name: string, ...strings: string[]): string {
    const encoded = strings.map((text) => {
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
      return Buffer.concat([length, Buffer.from(text)]);
    });
    const path = join(folder, `${name}.gguf`);
    writeFileSync(path, Buffer.concat([Buffer.from("GGUF"), ...encoded, Buffer.alloc(1000 * name.length)]));
    return path;
  }

  const tokens = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"];
  const byKey = ["fim_pre", "fim_suf", "fim_mid"].map((name) => `tokenizer.ggml.${name}_token_id`);
  const ownFiles: [name: string, files: Record<string, string[]>, fast: string | null, main: string | null][] = [
    ["without the tokens to fill in the middle", { a: [] }, null, "a"],
    ["with them", { a: tokens }, "a", "a"],
    ["with one of them", { a: tokens.slice(0, 1) }, null, "a"],
    ["that name them in the metadata", { a: byKey }, "a", "a"],
    ["with longer texts that only hold them", { a: tokens.map((text) => `x${text}`) }, null, "a"],
    ["of which the smaller can", { a: tokens, bb: [] }, "a", "bb"],
    ["of which the larger can", { a: [], bb: tokens }, "bb", "bb"],
  ];

  it.each(ownFiles)("without a model of the catalogue takes the user's files %s", async (_, files, fast, main) => {
    const folder = directory();
    for (const [name, strings] of Object.entries(files)) ownFile(folder, name, ...strings);
    const pathOf = (name: string | null) => (name === null ? "MODEL_NOT_INSTALLED" : join(folder, `${name}.gguf`));
    const store = storeOf(all, folder);
    expect([await chosen(store, "auto", "fast"), await chosen(store, "auto", "main")]).toEqual([
      pathOf(fast),
      pathOf(main),
    ]);
  });

  it("takes a model of the catalogue before the user's files, and theirs for the role that it does not serve", async () => {
    const folder = folderWith([large]);
    const own = ownFile(folder, "own", ...tokens);
    const store = storeOf(all, folder);
    expect([await chosen(store, "auto", "fast"), await chosen(store, "auto", "main")]).toEqual([own, "large"]);
  });

  it("notices that a file of the user's was replaced", async () => {
    const folder = directory();
    const store = storeOf(all, folder);
    ownFile(folder, "own");
    expect(await chosen(store, "auto", "fast")).toBe("MODEL_NOT_INSTALLED");
    const own = ownFile(folder, "own", ...tokens);
    expect(await chosen(store, "auto", "fast")).toBe(own);
  });

  it("names the model to download when none is installed", async () => {
    const store = storeOf(all, directory());
    await expect(store.choose("auto", "main")).rejects.toThrow(/Model large is not installed.*Download Model/);
  });

  it("says so when no model of the catalogue fits the machine", async () => {
    const store = storeOf(all, directory(), { totalMemoryBytes: 2 ** 30 });
    await expect(store.choose("auto", "fast")).rejects.toThrow(/too little memory.*GGUF/);
  });
});

describe("a choice by name or path", () => {
  const folder = folderWith([small]);
  const file = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  mkdirSync(join(folder, "folder.gguf"));
  const cases: [choice: string, ends: string][] = [
    ["small", "small"],
    ["middle", "MODEL_NOT_INSTALLED"],
    ["unheard-of", "MODEL_UNKNOWN"],
    ["", "MODEL_UNKNOWN"],
    ["relative/own.gguf", "MODEL_UNKNOWN"],
    [file("own.gguf", "GGUF..."), join(folder, "own.gguf")],
    [file("text.gguf", "# no model"), "MODEL_INVALID"],
    [file("empty.gguf", ""), "MODEL_INVALID"],
    [join(folder, "missing.gguf"), "MODEL_NOT_FOUND"],
    [join(folder, "folder.gguf"), "MODEL_NOT_FOUND"],
  ];

  it.each(cases)("%j is %s", async (choice, ends) => {
    expect(await chosen(storeOf(all, folder), choice, "main")).toBe(ends);
  });
});

describe("the list", () => {
  it("holds the catalogue and the user's own files", async () => {
    const folder = folderWith([small, large]);
    writeFileSync(join(folder, "own.gguf"), "GGUF and more");
    writeFileSync(join(folder, "no-model.gguf"), "text");
    writeFileSync(join(folder, "notes.txt"), "GGUF");
    for (const part of [1, 2]) writeFileSync(join(folder, `split-0000${String(part)}-of-00002.gguf`), "GGUF");
    writeFileSync(join(folder, "middle.gguf.part"), Buffer.alloc(700));
    const states = await storeOf(all, folder).list();
    expect(states.map(({ ref, installed, partialBytes }) => [ref, installed, partialBytes])).toEqual([
      ["small", true, 0],
      ["middle", false, 700],
      ["large", true, 0],
      ["huge", false, 0],
      ["chat-only", false, 0],
      [join(folder, "own.gguf"), true, 0],
      [join(folder, "split-00001-of-00002.gguf"), true, 0],
    ]);
  });

  it("names what is recommended and what fits", async () => {
    const states = await storeOf(all, directory()).list();
    expect(states.map(({ ref, recommendedFor, fits }) => [ref, recommendedFor, fits])).toEqual([
      ["small", ["fast"], true],
      ["middle", [], true],
      ["large", ["main"], true],
      ["huge", [], false],
      ["chat-only", [], true],
    ]);
  });

  it("is there before the folder is", async () => {
    const states = await storeOf(all, join(directory(), "not", "yet")).list();
    expect(states.filter(({ installed }) => installed)).toEqual([]);
    expect(states).toHaveLength(all.length);
  });
});

describe("a file in the models folder", () => {
  it("of another size counts as not installed", async () => {
    const folder = folderWith([small]);
    truncateSync(join(folder, "small.gguf"), 999);
    expect(await chosen(storeOf(all, folder), "small", "fast")).toBe("MODEL_NOT_INSTALLED");
  });

  it("with wrong bytes is refused and left alone", async () => {
    const folder = directory();
    writeFileSync(join(folder, "small.gguf"), Buffer.alloc(1_000));
    const store = storeOf(all, folder);
    await expect(store.choose("small", "fast")).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
    expect(statSync(join(folder, "small.gguf")).size).toBe(1_000);
  });

  /** How often the checksum is computed over a series of uses. */
  async function computations(action: (folder: string) => Promise<void>): Promise<number> {
    const spy = vi.spyOn(checksum, "sha256Of");
    try {
      await action(folderWith([small]));
      return spy.mock.calls.length;
    } finally {
      spy.mockRestore();
    }
  }

  it("is checked once, also by a later engine", async () => {
    const count = await computations(async (folder) => {
      for (let engine = 0; engine < 3; ++engine) {
        const store = storeOf(all, folder);
        for (let use = 0; use < 3; ++use) await store.choose("small", "fast");
      }
    });
    expect(count).toBe(1);
  });

  it("is checked once for uses at the same moment", async () => {
    const count = await computations(async (folder) => {
      const store = storeOf(all, folder);
      await Promise.all([1, 2, 3].map(() => store.choose("small", "fast")));
    });
    expect(count).toBe(1);
  });

  const changes: [what: string, change: (path: string) => void][] = [
    [
      "its time",
      (path) => {
        utimesSync(path, 1, 1);
      },
    ],
    [
      "the index",
      (path) => {
        writeFileSync(join(path, "..", "verified.json"), "no JSON");
      },
    ],
    [
      "the index's form",
      (path) => {
        writeFileSync(join(path, "..", "verified.json"), "null");
      },
    ],
    [
      "an index without checksums",
      (path) => {
        writeFileSync(join(path, "..", "verified.json"), '{"small.gguf":{}}');
      },
    ],
    [
      "no index",
      (path) => {
        rmSync(join(path, "..", "verified.json"));
      },
    ],
  ];

  it.each(changes)("is checked again after a change of %s", async (_, change) => {
    const count = await computations(async (folder) => {
      await storeOf(all, folder).choose("small", "fast");
      change(join(folder, "small.gguf"));
      await storeOf(all, folder).choose("small", "fast");
    });
    expect(count).toBe(2);
  });

  it("is checked again when the catalogue expects another one", async () => {
    const folder = folderWith([small]);
    await storeOf(all, folder).choose("small", "fast");
    const other = { ...small, entry: { ...small.entry, sha256: "0".repeat(64) } };
    expect(await chosen(storeOf([other], folder), "small", "fast")).toBe("CHECKSUM_MISMATCH");
  });

  it("is usable where the index cannot be written, and the log says why", async () => {
    const folder = folderWith([small]);
    mkdirSync(join(folder, "verified.json"));
    const log = vi.fn();
    const store = storeOf(all, folder, { log });
    const count = await computations(async () => {
      await store.choose("small", "fast");
      await store.choose("small", "fast");
    });
    expect(count).toBe(1);
    expect(log).toHaveBeenCalledWith(expect.stringMatching(/verified\.json/));
    expect(readdirSync(folder).toSorted()).toEqual(["small.gguf", "verified.json"]);
  });

  it("is gone after remove, with what was left of a download, and nothing else is", async () => {
    const folder = folderWith([small, middle]);
    writeFileSync(join(folder, "small.gguf.part"), "");
    writeFileSync(join(folder, "small.gguf.part.json"), "{}");
    const store = storeOf(all, folder);
    await store.choose("small", "fast");
    await store.choose("middle", "fast");
    let announced = 0;
    store.onChanged(() => ++announced);
    await store.remove("small");
    expect(readdirSync(folder).toSorted()).toEqual(["middle.gguf", "verified.json"]);
    expect(Object.keys(JSON.parse(readFileSync(join(folder, "verified.json"), "utf8")) as object)).toEqual([
      "middle.gguf",
    ]);
    expect(announced).toBe(1);
  });

  it.each([
    ["EBUSY", "DOWNLOAD_FAILED"],
    ["EPERM", "DOWNLOAD_FAILED"],
  ])("that the system does not let go (%s) is reported with a code and its path", async (code, reported) => {
    const folder = folderWith([small]);
    const refuse = vi.spyOn(PartialFile.prototype, "discard").mockImplementation(() => {
      throw Object.assign(new Error(code), { code });
    });
    try {
      await expect(storeOf(all, folder).remove("small")).rejects.toMatchObject({
        code: reported,
        message: expect.stringContaining(join(folder, "small.gguf")) as unknown,
      });
      // The lock is gone: the next attempt gets as far.
      await expect(storeOf(all, folder).remove("small")).rejects.toMatchObject({ code: reported });
    } finally {
      refuse.mockRestore();
    }
  });

  it("of the user's own is not removed", async () => {
    const folder = directory();
    const own = join(folder, "own.gguf");
    writeFileSync(own, "GGUF");
    await expect(storeOf(all, folder).remove(own)).rejects.toMatchObject({ code: "MODEL_UNKNOWN" });
    expect(readdirSync(folder)).toEqual(["own.gguf"]);
  });
});

describe("changed settings", () => {
  it("lead to another folder", async () => {
    const store = storeOf(all, folderWith([small]));
    const announced = vi.fn();
    const listening = store.onChanged(announced);
    const other = folderWith([middle]);
    store.update({ modelsDirectory: other, proxy: "", noProxy: "", mirror: "" });
    expect([await chosen(store, "small", "fast"), await chosen(store, "middle", "fast")]).toEqual([
      "MODEL_NOT_INSTALLED",
      "middle",
    ]);
    store.update({ modelsDirectory: other, proxy: "http://proxy:1", noProxy: "", mirror: "" });
    listening.dispose();
    store.update({ modelsDirectory: directory(), proxy: "", noProxy: "", mirror: "" });
    expect(announced).toHaveBeenCalledTimes(1);
  });
});
