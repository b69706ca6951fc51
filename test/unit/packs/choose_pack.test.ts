import { describe, expect, test } from "vitest";
import { choosePack, isCompiledAtFirstUse } from "../../../src/engine/packs/choose_pack";
import { packCatalogue } from "../../../src/engine/packs/pack_catalogue";
import type { NvidiaCard } from "../../../src/shared/packs";
import { gtx1650 } from "./pack_fixture";

const gib = 2 ** 30;

describe("the pack for a machine", () => {
  function check(what: string, cards: Partial<NvidiaCard>[], pack: string | null, reason: string, on = "win32-x64") {
    test(what, () => {
      const choice = choosePack(
        on,
        cards.map((card) => ({ ...gtx1650, ...card })),
        packCatalogue,
      );
      expect([choice.pack?.id ?? null, choice.pack?.platform ?? on]).toEqual([pack, on]);
      expect(choice.reason).toContain(reason);
      expect(choice.needsDriver).toBe(choice.reason.endsWith("install a newer driver."));
    });
  }

  check("a GTX 1650 with a new driver", [{}], "cuda13", "up to five minutes, once");
  check("the same on Linux", [{ driver: "590.48.01" }], "cuda13", "driver 590.48.01", "linux-x64");
  check(
    "a driver that does not compile for CUDA 13.1",
    [{ driver: "580.95.05" }],
    "cuda12",
    "CUDA 12 runs on GTX 1650",
  );
  check("a card with machine code, the same driver", [{ driver: "580.97", capability: "8.6" }], "cuda13", "CUDA 13");
  check("a card with machine code says nothing of compiling", [{ capability: "8.9" }], "cuda13", "591.44.");
  check("the first driver for CUDA 12", [{ driver: "550.54.14" }], "cuda12", "CUDA 12");
  check("machine code of CUDA 12 on an older driver", [{ driver: "528.33", capability: "8.6" }], "cuda12", "528.33");
  check("a driver before CUDA 12.4", [{ driver: "546.33" }], null, "driver 550 or later, this machine has 546.33");
  check("a driver of 2022", [{ driver: "516.94", capability: "8.6" }], null, "driver 528 or later");
  check("a GTX 1060", [{ name: "GTX 1060", capability: "6.1" }], "cuda12", "GTX 1060");
  check("a GTX 960", [{ name: "GTX 960", capability: "5.2" }], "cuda12", "GTX 960");
  check("a GTX 680", [{ name: "GTX 680", capability: "3.0" }], null, "GTX 680 is too old for CUDA 12");
  check("a card of 2 GB", [{ name: "MX150", memoryBytes: 2 * gib }], null, "MX150 has too little memory");
  check("a card of 3 GB", [{ memoryBytes: 3 * gib }], "cuda13", "");
  check("a card beside a better one", [{ memoryBytes: 2 * gib }, { name: "second" }], "cuda13", "second");
  const ti = { name: "RTX 3060 Ti", capability: "8.6" };
  const old = { name: "GTX 1080 Ti", capability: "6.1" };
  check("two cards, of which one is too old for the first pack", [ti, old], "cuda12", "RTX 3060 Ti and GTX 1080 Ti");
  check("the same the other way round", [old, ti], "cuda12", "GTX 1080 Ti and RTX 3060 Ti");
  check(
    "two cards, for one of which the driver compiles an older pack only",
    [ti, {}].map((card) => ({ ...card, driver: "580.97" })),
    "cuda12",
    "RTX 3060 Ti and GTX 1650",
  );
  check("two cards that the same pack suits", [ti, {}], "cuda13", "RTX 3060 Ti and GTX 1650");
  check(
    "a card beside one that no pack suits",
    [{ name: "GTX 680", capability: "3.0" }, ti],
    "cuda13",
    "CUDA 13 runs on RTX 3060 Ti with driver 591.44. Through Vulkan computes GTX 680.",
  );
  check(
    "a small old card beside another",
    [ti, { ...old, memoryBytes: 2 * gib }],
    "cuda13",
    "runs on RTX 3060 Ti with",
  );
  check("a card that a pack further down suits", [{ capability: "6.1" }, { memoryBytes: gib }], "cuda12", "");
  check("a driver that tells little", [{ capability: null, memoryBytes: null }], "cuda13", "CUDA 13");
  check("the same, not the newest", [{ capability: null, memoryBytes: null, driver: "580.1" }], "cuda12", "CUDA 12");
  check("no card", [], null, "No NVIDIA card");
  check("a Mac", [{}], null, "no CUDA support for darwin-arm64", "darwin-arm64");
  check("Windows on ARM", [{}], null, "no CUDA support for win32-arm64", "win32-arm64");
});

describe("compiling at the first use", () => {
  const [cuda13] = packCatalogue;
  test.each<[capability: string | null, isCompiled: boolean]>([
    ["7.5", true],
    ["8.0", true],
    ["8.6", false],
    ["12.0", false],
    ["12.2", true],
    [null, false],
  ])("of a card with %s: %s", (capability, isCompiled) => {
    expect(isCompiledAtFirstUse(cuda13 ?? { machineCode: [] }, { ...gtx1650, capability })).toBe(isCompiled);
  });
});
