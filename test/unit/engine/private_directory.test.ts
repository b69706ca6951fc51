import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ensurePrivateDirectory } from "../../../src/engine/private_directory";
import { temporaryDirectories } from "../models/temporary_directory";
import { itOnPosix } from "../support/on_systems";

const directory = temporaryDirectories();

describe("a private folder", () => {
  it("is made where there is none, with those above it", () => {
    const path = join(directory(), "one", "other", "run");
    ensurePrivateDirectory(path);
    expect(statSync(path).isDirectory()).toBe(true);
  });

  function check(name: string, prepare: (path: string) => void, refused: RegExp | null): void {
    itOnPosix(name, () => {
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
  }

  check("has the mode of one when it is made", () => undefined, null);
  check(
    "may be there already",
    (path) => {
      mkdirSync(path, { mode: 0o700 });
    },
    null,
  );
  check(
    "is closed to readers",
    (path) => {
      mkdirSync(path);
      chmodSync(path, 0o755);
    },
    null,
  );
  check(
    "is refused when others may write in it",
    (path) => {
      mkdirSync(path);
      chmodSync(path, 0o777);
    },
    /may be written by other users/,
  );
  check(
    "is refused when it is a file",
    (path) => {
      writeFileSync(path, "");
    },
    /cannot be created|is not a folder/,
  );
  check(
    "is refused when it is a link to elsewhere",
    (path) => {
      mkdirSync(`${path}-elsewhere`);
      symlinkSync(`${path}-elsewhere`, path);
    },
    /is not a folder/,
  );
});
