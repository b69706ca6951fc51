import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ZipFile } from "yazl";
import { buffer } from "node:stream/consumers";
import { writePack } from "../../../scripts/setup/write_pack";
import type { PackArchive, PackEntry } from "../../../src/engine/packs/pack_catalogue";
import { PackStore, type PackStoreOptions } from "../../../src/engine/packs/pack_store";
import type { NvidiaCard } from "../../../src/shared/packs";
import { patient, sha256Hex } from "../models/run_download";

export const platform = "linux-x64";

export const gtx1650: NvidiaCard = {
  name: "GTX 1650",
  driver: "591.44",
  capability: "7.5",
  uuid: "GPU-1650",
  memoryBytes: 2 ** 32,
  freeBytes: 2 ** 31,
};

/** Requirements as those of the product's packs. */
const requirements = {
  title: "CUDA 13",
  leastCapability: 7.5,
  machineCode: ["8.6", "8.9", "12.0", "12.1"],
  machineCodeDriver: 580,
  compileDriver: 590,
};

export interface TestPack {
  entry: PackEntry;
  /** The archive's bytes. */
  bytes: Buffer;
  path: string;
  contents: Record<string, Buffer>;
}

/** A small pack made by the product's builder, in a folder of the test. */
export async function makePack(directory: string, id = "cuda13"): Promise<TestPack> {
  const contents: Record<string, Buffer> = {
    // Larger than what a client loses when a connection breaks, and not to be compressed.
    "libggml-cuda.so": randomBytes(400_000),
    "libcudart.so.13": randomBytes(1_000),
    "libcublas.so.13": Buffer.alloc(300_000, "compresses well "),
    "licenses/nvidia-cuda.txt": Buffer.from("End User License Agreement"),
  };
  const sources = join(directory, `${id}-sources`);
  mkdirSync(join(sources, "licenses"), { recursive: true });
  const files = Object.entries(contents).map(([name, content]) => {
    const path = join(sources, name);
    writeFileSync(path, content);
    return { name, path };
  });
  const path = join(directory, `nmos-${id}-${platform}.nmospack`);
  const libraries = ["libcudart.so.13", "libcublas.so.13"];
  const archive = await writePack(path, { id, platform, backend: "libggml-cuda.so", libraries }, files);
  return { entry: entryOf(id, archive), bytes: readFileSync(path), path, contents };
}

export function entryOf(id: string, archive: PackArchive): PackEntry {
  return { ...requirements, id, platform, archive };
}

export function packStoreOf(
  packs: readonly TestPack[],
  directory: string,
  mirror: string,
  changes: Partial<PackStoreOptions> = {},
): PackStore {
  return new PackStore({
    directory,
    platform,
    version: "0.1.0",
    releases: null,
    settings: () => ({ proxy: "", noProxy: "", mirror }),
    log: () => undefined,
    catalogue: packs.map(({ entry }) => entry),
    timing: patient,
    ...changes,
  });
}

/** An archive of any content, which no builder would make. */
export async function zipOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const zip = new ZipFile();
  for (const [name, content] of Object.entries(files)) zip.addBuffer(Buffer.from(content), name);
  zip.end();
  return buffer(zip.outputStream);
}

/** The list entry of a manifest for a file of this content. */
export function fileOf(name: string, content: string): { name: string; sizeBytes: number; sha256: string } {
  const bytes = Buffer.from(content);
  return { name, sizeBytes: bytes.length, sha256: sha256Hex(bytes) };
}
