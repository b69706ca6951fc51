import type { PackReport, PackState } from "../../../src/shared/packs";

/** A machine with a GTX 1650, for which the pack of CUDA 13 is there to be downloaded, but for what is given. */
export function packReport(pack: Partial<PackState> = {}, report: Partial<PackReport> = {}): PackReport {
  return {
    cards: [
      { name: "GTX 1650", driver: "591.44", capability: "7.5", uuid: null, memoryBytes: 2 ** 32, freeBytes: 2 ** 31 },
    ],
    packs: [
      {
        id: "cuda13",
        title: "CUDA 13",
        sizeBytes: 516e6,
        unpackedBytes: 646e6,
        installed: false,
        outdated: false,
        partialBytes: 0,
        downloading: false,
        downloadable: true,
        ...pack,
      },
    ],
    suitable: "cuda13",
    reason: "CUDA 13 runs on GTX 1650.",
    needsDriver: false,
    ...report,
  };
}
