import { describe, expect, test } from "vitest";
import { parseArchiveManifest } from "../../../src/engine/archive/archive_manifest";
import { compareVersions } from "../../../src/engine/compare_versions";
import { EngineError } from "../../../src/shared/errors";

const sha256 = "a".repeat(64);
const extension = { kind: "extension", name: "nmos-win32-x64.vsix", sizeBytes: 10, sha256 };
const pack = { kind: "pack", id: "cuda13", name: "nmos-cuda13-win32-x64.nmospack", sizeBytes: 2 ** 33, sha256 };
const model = { kind: "model", id: "tiny", name: "tiny.gguf", sizeBytes: 1, sha256 };
const sound = { format: 1, version: "0.1.0", target: "win32-x64", extension, parts: [pack, model] };

function parse(manifest: unknown) {
  const text = typeof manifest === "string" ? manifest : JSON.stringify(manifest);
  return parseArchiveManifest(text, "a.zip", (what) => new EngineError("CHECKSUM_MISMATCH", what));
}

test("a sound manifest is what it says, whatever else is in it", () => {
  expect(parse({ ...sound, colour: "blue" })).toEqual(sound);
});

describe("a manifest is refused that", () => {
  test.each<[what: string, manifest: unknown, says: string]>([
    ["is no JSON", "{", "is no JSON"],
    ["is empty", "", "is no JSON"],
    ["names no version", { ...sound, version: undefined }, "no version"],
    ["names another kind of version", { ...sound, version: "1.0" }, "no version"],
    ["names no target", { ...sound, target: "" }, "no target"],
    ["names a target that leads elsewhere", { ...sound, target: "../x" }, "no target"],
    ["has no extension", { ...sound, extension: undefined }, "no extension"],
    ["has an extension without a checksum", { ...sound, extension: { ...extension, sha256: "b" } }, "no extension"],
    ["has a model in the place of the extension", { ...sound, extension: model }, "no extension"],
    ["has no list of parts", { ...sound, parts: {} }, "a part without"],
    ["lists nothing", { ...sound, parts: [null] }, "a part without"],
    ["lists a second extension", { ...sound, parts: [{ ...extension, id: "x" }] }, "a part without"],
    ["lists a part without an id", { ...sound, parts: [{ ...pack, id: "" }] }, "a part without"],
    ["lists a part without a size", { ...sound, parts: [{ ...pack, sizeBytes: "1" }] }, "a part without"],
    ["lists an empty part", { ...sound, parts: [{ ...pack, sizeBytes: 0 }] }, "a part without"],
    ["has a checksum in capitals", { ...sound, parts: [{ ...pack, sha256: "A".repeat(64) }] }, "a part without"],
    ["leads out", { ...sound, parts: [{ ...model, name: "../tiny.gguf" }] }, "outside"],
    ["leads out as on Windows", { ...sound, parts: [{ ...model, name: "..\\tiny.gguf" }] }, "outside"],
    ["leads to another disk", { ...sound, extension: { ...extension, name: "C:x.vsix" } }, "outside"],
    ["leads into a folder", { ...sound, parts: [{ ...model, name: "a/tiny.gguf" }] }, "outside"],
    ["names a file twice", { ...sound, parts: [pack, { ...model, name: pack.name }] }, "a file twice"],
    ["names a model twice", { ...sound, parts: [model, { ...model, name: "other.gguf" }] }, "a model twice"],
  ])("%s", (_, manifest, says) => {
    expect(() => parse(manifest)).toThrow(says);
  });

  test.each([2, 0, "1", null, undefined])("has the format %j, with what to do", (format) => {
    const failure = catching(() => parse({ ...sound, format }));
    expect(failure?.code).toBe("INVALID_ARGUMENT");
    expect(failure?.message).toContain("this version of NMOS reads 1");
    expect(failure?.message).toContain("Install from VSIX");
  });

  test("is none at all", () => {
    expect(catching(() => parse("null"))?.code).toBe("INVALID_ARGUMENT");
  });
});

test.each<[a: string, b: string, sign: number]>([
  ["0.1.0", "0.1.0", 0],
  ["0.2.0", "0.1.0", 1],
  ["0.1.9", "0.1.10", -1],
  ["0.10.0", "0.9.9", 1],
  ["1.0.0", "0.99.99", 1],
  ["0.1.0", "1.0.0", -1],
])("%s compared with %s", (a, b, sign) => {
  expect(Math.sign(compareVersions(a, b))).toBe(sign);
});

function catching(run: () => unknown): EngineError | null {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof EngineError) return thrown;
  }
  return null;
}
