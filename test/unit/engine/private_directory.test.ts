import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ensurePrivateDirectory } from "../../../src/engine/private_directory";
import { temporaryDirectories } from "../models/temporary_directory";

const directory = temporaryDirectories();

describe.skipIf(process.platform === "win32")("a private folder", () => {
  it.each<[name: string, prepare: (path: string) => void, refused: RegExp | null]>([
    ["is made when there is none", () => undefined, null],
    [
      "may be there already",
      (path) => {
        mkdirSync(path, { mode: 0o700 });
      },
      null,
    ],
    [
      "is closed to readers",
      (path) => {
        mkdirSync(path);
        chmodSync(path, 0o755);
      },
      null,
    ],
    [
      "is refused when others may write in it",
      (path) => {
        mkdirSync(path);
        chmodSync(path, 0o777);
      },
      /may be written by other users/,
    ],
    [
      "is refused when it is a file",
      (path) => {
        writeFileSync(path, "");
      },
      /cannot be created|is not a folder/,
    ],
    [
      "is refused when it is a link to elsewhere",
      (path) => {
        mkdirSync(`${path}-elsewhere`);
        symlinkSync(`${path}-elsewhere`, path);
      },
      /is not a folder/,
    ],
  ])("%s", (_, prepare, refused) => {
    const path = join(directory(), "run");
    prepare(path);
    if (refused) {
      expect(() => {
        ensurePrivateDirectory(path);
      }).toThrow(refused);
    } else {
      ensurePrivateDirectory(path);
      expect(statSync(path).mode & 0o777).toBe(0o700);
    }
  });
});
