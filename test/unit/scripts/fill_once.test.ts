import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fillOnce } from "../../../scripts/setup/fill_once";
import { temporaryDirectories } from "../models/temporary_directory";

const directory = temporaryDirectories();

describe("a folder of the cache", () => {
  it("is filled once, in an empty folder", async () => {
    const target = join(directory(), "target");
    const found: string[][] = [];
    for (const name of ["first", "second"]) {
      const fill = (path: string) => {
        found.push(readdirSync(path));
        writeFileSync(join(path, name), "");
        return Promise.resolve();
      };
      expect(await fillOnce(target, fill)).toBe(target);
    }
    expect([found, readdirSync(target)]).toEqual([[[]], ["first"]]);
  });

  it("that could not be filled leaves nothing, and is filled by the next attempt", async () => {
    const parent = directory();
    const target = join(parent, "target");
    await expect(fillOnce(target, () => Promise.reject(new Error("full")))).rejects.toThrow("full");
    expect(readdirSync(parent)).toEqual([]);
    await fillOnce(target, () => Promise.resolve());
    expect(readdirSync(parent)).toEqual(["target"]);
  });
});
