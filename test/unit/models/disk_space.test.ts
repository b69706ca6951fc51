import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ensureRoomForAll, freeBytesOf } from "../../../src/engine/models/disk_space";
import { tryDownloadLock } from "../../../src/engine/models/download_lock";
import { temporaryDirectories } from "./temporary_directory";

const directory = temporaryDirectories();

test.each(["", "models", join("not", "there", "yet")])("the disk of the folder %j is known", async (folder) => {
  expect(await freeBytesOf(join(directory(), folder))).toBeGreaterThan(0);
});

test("a folder below a file is on no disk", async () => {
  const file = join(directory(), "file");
  writeFileSync(file, "");
  expect(await freeBytesOf(join(file, "models"))).toBeNull();
});

test.each<[what: string, elsewhere: string | undefined, isSetting: boolean]>([
  ["of models", undefined, true],
  ["of what has its own place", "", false],
])("a download %s that cannot be written names a setting: %s", async (_, elsewhere, isSetting) => {
  const file = join(directory(), "file");
  writeFileSync(file, "");
  const failure = await tryDownloadLock(join(file, "a"), elsewhere).then(() => "", String);
  expect(failure).toContain("Check the permissions of its folder");
  expect(failure.includes("nmos.engine.modelsDirectory")).toBe(isSetting);
});

test("files that fit one by one may not fit together, and the largest one is named", async () => {
  const home = directory();
  mkdirSync(join(home, "models"));
  const needs = [
    { target: join(home, "models", "a"), bytes: 300 },
    { target: join(home, "not", "yet", "b"), bytes: 500, elsewhere: "" },
  ];
  const margin = 200 * 2 ** 20;
  const asked: string[] = [];
  const free = (bytes: number) => (folder: string) => {
    asked.push(folder);
    return Promise.resolve(bytes);
  };
  await ensureRoomForAll(needs, free(margin + 800));
  expect(asked).toEqual([join(home, "not", "yet")]);
  const failure = await ensureRoomForAll(needs, free(margin + 799)).then(() => "", String);
  expect(failure).toContain(join(home, "not", "yet", "b"));
  await ensureRoomForAll([], free(0));
});
