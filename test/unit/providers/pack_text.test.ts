import { describe, expect, test } from "vitest";
import { firstOffer, packOffer } from "../../../src/providers/pack_text";
import type { PackReport, PackState } from "../../../src/shared/packs";
import { packReport } from "../support/pack_report";

const [first] = packReport().packs as [PackState];

describe("CUDA support", () => {
  function check(
    what: string,
    pack: Partial<PackState>,
    report: Partial<PackReport>,
    kind: string,
    text: string,
  ): void {
    test(what, () => {
      const offer = packOffer(packReport(pack, report));
      expect(offer.kind).toBe(kind);
      expect(`${offer.text} ${offer.kind === "download" ? offer.detail : ""}`).toContain(text);
    });
  }

  check("is offered with what it costs", {}, {}, "download", "Install CUDA support (a download of 516 MB)?");
  check("says what it does to the disk", {}, {}, "download", "It takes 646 MB of disk.");
  check("names its licence", {}, {}, "download", "NVIDIA's end user licence");
  check("says why this pack", {}, {}, "download", "CUDA 13 runs on GTX 1650.");
  check("goes on where it was", { partialBytes: 1e8 }, {}, "download", "100 MB are downloaded already");
  check("is updated", { outdated: true }, {}, "download", "Update CUDA support");
  const cuda12 = { ...first, id: "cuda12", title: "CUDA 12", installed: true };
  check(
    "replaces another",
    {},
    { packs: [first, cuda12] },
    "download",
    "Replace CUDA 12 by CUDA 13 (a download of 516 MB)?",
  );
  check("is there", { installed: true }, {}, "installed", "is installed");
  check("without an address", { downloadable: false }, {}, "file only", "nmos.download.packMirror");
  check(
    "is not for this machine",
    {},
    { suitable: null, reason: "No card." },
    "none",
    "not for this machine. No card.",
  );
});

describe("the offer that nobody asked for", () => {
  function check(
    what: string,
    pack: Partial<PackState>,
    declined: boolean,
    text: string | undefined,
    none = false,
  ): void {
    test(what, () => {
      expect(firstOffer(packReport(pack, none ? { suitable: null } : {}), declined)).toBe(text);
    });
  }

  const offer = "GTX 1650 can compute with CUDA instead of Vulkan (a download of 516 MB).";
  const update = "This version of NMOS needs another CUDA support (a download of 516 MB).";
  check("names the card", {}, false, offer);
  check("is made once", {}, true, undefined);
  check("is made again for what was installed", { outdated: true }, true, update);
  check("is not made for what is there", { installed: true }, false, undefined);
  check("is not made without an address", { downloadable: false }, false, undefined);
  test("is not made where another pack works", () => {
    const working = { ...first, id: "cuda12", installed: true };
    expect(firstOffer(packReport({}, { packs: [first, working] }), false)).toBeUndefined();
  });
  check("is not made without a card", {}, false, undefined, true);
});
