import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { link } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { ensureNameable, placeBeside } from "../../../src/engine/quantise/place_result";
import { temporaryDirectories } from "../models/temporary_directory";

const temporaryDirectory = temporaryDirectories();

function resultIn(directory: string): string {
  const partial = join(directory, "result.part");
  writeFileSync(partial, "new");
  return partial;
}

/** As on file systems without links: Linux says the first, Windows the second. */
const refused = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }));

const systems: [string, typeof link][] = [
  ["links", link],
  ["no links (EPERM)", refused("EPERM")],
  ["no links (EISDIR)", refused("EISDIR")],
  ["no links (ENOTSUP)", refused("ENOTSUP")],
];

describe.each(systems)("with %s a result", (_, linkOnce) => {
  test.each([
    [[], "Model.gguf"],
    [["Model.gguf"], "Model-2.gguf"],
    [["Model.gguf", "Model-2.gguf", "Model-4.gguf"], "Model-3.gguf"],
  ])("beside %j is %s", async (others, expected) => {
    const directory = temporaryDirectory();
    const partial = resultIn(directory);
    for (const file of others) writeFileSync(join(directory, file), "old");
    const path = await placeBeside(partial, join(directory, "Model.gguf"), linkOnce);
    expect(basename(path)).toBe(expected);
    expect(readFileSync(path, "utf8")).toBe("new");
    for (const file of others) expect(readFileSync(join(directory, file), "utf8")).toBe("old");
    expect(existsSync(partial)).toBe(false);
  });

  test("that is gone leaves no file of its name", async () => {
    const directory = temporaryDirectory();
    const placing = placeBeside(join(directory, "result.part"), join(directory, "Model.gguf"), linkOnce);
    await expect(placing).rejects.toMatchObject({ code: "ENOENT" });
    expect(readdirSync(directory)).toEqual([]);
  });

  test("in a folder that is not there keeps its name", async () => {
    const partial = resultIn(temporaryDirectory());
    const wanted = join(partial, "..", "nowhere", "Model.gguf");
    await expect(placeBeside(partial, wanted, linkOnce)).rejects.toMatchObject({ code: "ENOENT" });
    expect(readFileSync(partial, "utf8")).toBe("new");
  });
});

test.each([
  ["Model.gguf", true],
  [`${"x".repeat(230)}.gguf`, true],
  [`${"x".repeat(250)}.gguf`, false],
])("whether a result can have a name is known before: %s", async (name, isPossible) => {
  const directory = temporaryDirectory();
  const trial = ensureNameable(join(directory, name));
  if (isPossible) await trial;
  else await expect(trial).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  expect(readdirSync(directory)).toEqual([]);
});
