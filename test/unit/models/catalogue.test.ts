import { describe, expect, it } from "vitest";
import { catalogue, downloadUrl, parseCatalogue } from "../../../src/engine/models/catalogue";

describe("the catalogue", () => {
  it("holds the models of the documentation, each with the checksum its publisher gives", () => {
    expect(Object.fromEntries(catalogue.map(({ id, sha256 }) => [id, sha256.slice(0, 8)]))).toEqual({
      "qwen2.5-coder-0.5b": "1d961463",
      "qwen2.5-coder-1.5b": "cc324af0",
      "qwen2.5-coder-3b": "724fb256",
      "qwen2.5-coder-7b": "509287f7",
      "qwen2.5-coder-14b": "c1e65973",
      "smollm2-135m": "b179c952",
    });
  });

  it.each(catalogue)("$id needs more memory than its file has bytes, and drafts only when it is small", (entry) => {
    expect(entry.requiredBytes).toBeGreaterThan(entry.sizeBytes);
    expect(entry.draft).toBe(entry.sizeBytes < 1.5e9);
    expect(entry.commercialUse).toBe(entry.license === "Apache-2.0");
  });

  const sound = { ...catalogue[0] };
  const mistakes: [what: string, data: Record<string, unknown>[], names: string][] = [
    ["a missing checksum", [{ ...sound, sha256: null }], "qwen2.5-coder-0.5b.sha256"],
    ["a checksum in capitals", [{ ...sound, sha256: sound.sha256?.toUpperCase() }], "0.5b.sha256"],
    ["a size that is no count", [{ ...sound, sizeBytes: 1.5 }], "0.5b.sizeBytes"],
    ["no role", [{ ...sound, roles: [] }], "0.5b.roles"],
    ["an unknown role", [{ ...sound, roles: ["draft"] }], "0.5b.roles"],
    ["a file in another folder", [{ ...sound, file: "../model.gguf" }], "0.5b.file"],
    ["a file that is no GGUF", [{ ...sound, file: "model.bin" }], "0.5b.file"],
    ["a part of a path on the hub", [{ ...sound, hubPath: "model.gguf" }], "0.5b.hubPath"],
    ["a license without an address", [{ ...sound, licenseUrl: "Apache" }], "0.5b.licenseUrl"],
    ["an unknown field", [{ ...sound, colour: "blue" }], "0.5b.colour"],
    ["an entry without an id", [{ ...sound, id: undefined }], "entry 0.id"],
    ["an id twice", [sound, { ...sound, file: "other.gguf" }], "id qwen2.5-coder-0.5b twice"],
    ["a file twice", [sound, { ...sound, id: "other" }], "file qwen2.5-coder-0.5b-instruct-q4_k_m.gguf twice"],
  ];

  it.each(mistakes)("refuses %s", (_, data, names) => {
    expect(() => parseCatalogue(data)).toThrow(names);
  });
});

describe("the address of a model", () => {
  const hubPath = "Owner/Name/resolve/main/m.gguf";
  const cases: [mirror: string, url: string][] = [
    ["", "https://huggingface.co/Owner/Name/resolve/main/m.gguf"],
    ["https://mirror.example", "https://mirror.example/Owner/Name/resolve/main/m.gguf"],
    ["https://mirror.example/", "https://mirror.example/Owner/Name/resolve/main/m.gguf"],
    ["http://mirror:8080/hub//", "http://mirror:8080/hub/Owner/Name/resolve/main/m.gguf"],
  ];

  it.each(cases)("with the mirror %j", (mirror, url) => {
    expect(downloadUrl({ hubPath }, mirror)).toBe(url);
  });
});
