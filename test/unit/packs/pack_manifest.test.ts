import { describe, expect, test } from "vitest";
import { parseManifest } from "../../../src/engine/packs/pack_manifest";
import { fileOf } from "./pack_fixture";

const sound = {
  format: 1,
  id: "cuda13",
  platform: "linux-x64",
  backend: "libggml-cuda.so",
  libraries: ["libcudart.so.13"],
  files: [fileOf("libggml-cuda.so", "b"), fileOf("libcudart.so.13", "r"), fileOf("licenses/a.txt", "l")],
};

describe("a manifest", () => {
  test("that is sound", () => {
    expect(parseManifest(JSON.stringify(sound), "a pack")).toEqual(sound);
  });

  const [backend, runtime] = sound.files;
  test.each<[what: string, manifest: unknown, says: string]>([
    ["another format", { ...sound, format: 2 }, "format 2, expected 1"],
    ["null", null, "format undefined"],
    ["no id", { ...sound, id: undefined }, "lacks its id"],
    ["no backend", { ...sound, backend: "" }, "backend"],
    ["libraries that are no list", { ...sound, libraries: "all" }, "libraries"],
    ["files that are no list", { ...sound, files: {} }, "lists files"],
    ["a file without a checksum", { ...sound, files: [{ ...backend, sha256: "" }, runtime] }, "checksum"],
    ["a negative size", { ...sound, files: [{ ...backend, sizeBytes: -1 }, runtime] }, "size"],
    ["the backend missing", { ...sound, files: [runtime] }, "lacks libggml-cuda.so"],
    ["a library missing", { ...sound, files: [backend] }, "lacks libcudart.so.13"],
    ["a file twice", { ...sound, files: [...sound.files, runtime] }, "twice"],
    ...["../x", "/etc/x", "a/b", "licenses/../../x", "..", "C:\\x", "licenses\\x", "licenses/", ".x"].map(
      (name): [string, unknown, string] => [
        `a file at ${name}`,
        { ...sound, files: [...sound.files, fileOf(name, "x")] },
        JSON.stringify(name),
      ],
    ),
  ])("with %s is refused", (_, manifest, says) => {
    expect(() => parseManifest(JSON.stringify(manifest), "a pack")).toThrow(says);
  });

  test("that is no JSON, or too long", () => {
    expect(() => parseManifest("{", "a pack")).toThrow("no JSON");
    expect(() => parseManifest(" ".repeat(2 ** 21), "a pack")).toThrow("too long");
  });
});
