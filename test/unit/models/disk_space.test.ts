import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freeBytesOf } from "../../../src/engine/models/disk_space";
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
