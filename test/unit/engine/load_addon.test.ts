import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { adviceFor } from "../../../src/engine/native/load_addon";
import { temporaryDirectories } from "../models/temporary_directory";

const temporaryDirectory = temporaryDirectories();

it.each<[name: string, platform: NodeJS.Platform, there: string[] | null, expected: RegExp]>([
  ["a new Windows", "win32", [], /msvcp140\.dll, vcruntime140\.dll, vcruntime140_1\.dll.*vc_redist/],
  ["an old runtime", "win32", ["msvcp140.dll", "vcruntime140.dll"], /\(vcruntime140_1\.dll\).*vc_redist/],
  [
    "a Windows with the runtime",
    "win32",
    ["msvcp140.dll", "vcruntime140.dll", "vcruntime140_1.dll"],
    /^Install the NMOS package for this platform\.$/,
  ],
  ["a Windows whose folder is unknown", "win32", null, /^Install the NMOS package/],
  ["another system", "linux", [], /^Install the NMOS package/],
])("what to do about an addon that cannot be loaded: %s", (_, platform, there, expected) => {
  const windows = temporaryDirectory();
  mkdirSync(join(windows, "System32"));
  for (const name of there ?? []) writeFileSync(join(windows, "System32", name), "");
  expect(adviceFor(platform, there === null ? undefined : windows)).toMatch(expected);
});
