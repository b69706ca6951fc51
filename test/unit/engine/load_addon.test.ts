import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadAddon } from "../../../src/engine/native/load_addon";
import { temporaryDirectories } from "../models/temporary_directory";

const temporaryDirectory = temporaryDirectories();

describe("an addon that cannot be loaded", () => {
  it.each<[what: string, addon: string | null]>([
    ["is not there", null],
    ["is damaged", "no library"],
  ])("and %s is refused with its folder and what to do", (_, addon) => {
    const root = temporaryDirectory();
    const libraries = join(root, "prebuilds", `${process.platform}-${process.arch}`);
    mkdirSync(libraries, { recursive: true });
    if (addon !== null) writeFileSync(join(libraries, "nmos.node"), addon);
    let thrown: unknown;
    try {
      loadAddon(root);
    } catch (refusal) {
      thrown = refusal;
    }
    expect(thrown).toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    const { message } = thrown as Error;
    expect(message).toContain(libraries);
    expect(message).toMatch(/Install the NMOS package for this platform again\.$/);
  });
});
