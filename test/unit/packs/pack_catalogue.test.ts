import { describe, expect, test } from "vitest";
import recipes from "../../../native/engine_packs.json";
import libraries from "../../../native/engine_libraries.json";
import { packCatalogue, packUrl, releasesUrl } from "../../../src/engine/packs/pack_catalogue";

describe("the catalogue of packs", () => {
  test("has an entry for everything that can be built, and nothing else", () => {
    const built = Object.entries(recipes).flatMap(([id, platforms]) =>
      Object.keys(platforms).map((platform) => `${id} ${platform}`),
    );
    expect(packCatalogue.map(({ id, platform }) => `${id} ${platform}`).toSorted()).toEqual(built.toSorted());
  });

  test.each(packCatalogue)("$id for $platform was built", ({ id, platform, archive }) => {
    expect(archive.file).toBe(`nmos-${id}-${platform}.nmospack`);
    expect(archive.sha256).toMatch(/^(?!0+$)[0-9a-f]{64}$/);
    expect(archive.sizeBytes).toBeGreaterThan(100e6);
    expect(archive.unpackedBytes).toBeGreaterThan(archive.sizeBytes);
  });

  test("its backends are of the engine's own version", () => {
    const [, version] = libraries.sources.package.split("@");
    const packages = [...JSON.stringify(recipes).matchAll(/"package":"([^"]+)"/g)].map(([, name]) => name);
    expect(packages).toHaveLength(packCatalogue.length);
    for (const name of packages) expect(name).toMatch(new RegExp(`@${String(version)}$`));
  });
});

describe("where packs come from", () => {
  const releases = "https://example.org/owner/nmos/releases";
  test.each<[what: string, repository: unknown, url: string | null]>([
    ["an address", "https://example.org/owner/nmos", releases],
    ["an object", { type: "git", url: "git+https://example.org/owner/nmos.git" }, releases],
    ["a slash at the end", "https://example.org/owner/nmos/", releases],
    ["no encryption", "http://example.org/owner/nmos", null],
    ["no address", "owner/nmos", null],
    ["nothing", undefined, null],
  ])("with %s as the repository", (_, repository, url) => {
    expect(releasesUrl({ repository })).toBe(url);
  });

  const entry = { archive: { file: "nmos-cuda13-win32-x64.nmospack", sizeBytes: 1, sha256: "", unpackedBytes: 1 } };
  test.each<[from: string | null, mirror: string, url: string | null]>([
    [releases, "", `${releases}/download/v1.2.3/nmos-cuda13-win32-x64.nmospack`],
    [releases, "https://mirror/", "https://mirror/download/v1.2.3/nmos-cuda13-win32-x64.nmospack"],
    [null, "http://mirror:80/a", "http://mirror:80/a/download/v1.2.3/nmos-cuda13-win32-x64.nmospack"],
    [null, "", null],
  ])("releases at %s and the mirror %j", (from, mirror, url) => {
    expect(packUrl(entry, "1.2.3", from, mirror)).toBe(url);
  });
});
