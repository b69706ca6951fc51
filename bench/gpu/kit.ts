/** What a machine needs to run the benchmarks of its card, without a network and without the project: one folder. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface KitVersions {
  /** Of the project, abbreviated, with `-dirty` when files differed from it. */
  commit: string;
  /** Of what was built, by name. */
  versions: Record<string, string>;
}

export interface Kit {
  /** As an unpacked package: the engine host's bundles, the addon and, beside it, the engine libraries. */
  extension: string;
  /** Of the engine libraries; a backend that is put there is loaded, too. */
  libraries: string;
  programs: { cardProfile: string; coreTests: string; exactWidths: string; passTimes: string; syntheticModel: string };
  /** This script's bundle and the Node that runs it. */
  script: string;
  node: string;
  /** ggml's `include` and `src`, as far as its CUDA backend needs them, and cuBLAS's headers. */
  ggml: string;
  cublas: string;
  vocabulary: string;
  /** The real small model of the core's tests; may be missing. */
  smallModel: string;
  /** Where synthetic models are written. */
  models: string;
  versions: string;
}

export function kitIn(folder: string): Kit {
  const extension = join(folder, "extension");
  const program = (name: string): string => join(folder, "bin", name);
  return {
    extension,
    libraries: join(extension, "prebuilds", `${process.platform}-${process.arch}`),
    programs: {
      cardProfile: program("card_profile"),
      coreTests: program("nmos_core_tests"),
      exactWidths: program("exact_widths"),
      passTimes: program("pass_times"),
      syntheticModel: program("synthetic_model"),
    },
    script: join(folder, "gpu.mjs"),
    node: program("node"),
    ggml: join(folder, "ggml"),
    cublas: join(folder, "cublas"),
    vocabulary: join(folder, "vocabulary.gguf"),
    smallModel: join(folder, "small_model.gguf"),
    models: join(folder, "models"),
    versions: join(folder, "versions.json"),
  };
}

export function readVersions(kit: Kit): KitVersions {
  return JSON.parse(readFileSync(kit.versions, "utf8")) as KitVersions;
}
