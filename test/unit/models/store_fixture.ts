import { randomBytes } from "node:crypto";
import type { CatalogueEntry } from "../../../src/engine/models/catalogue";
import {
  createModelStore,
  type LocalModelStore,
  type ModelStoreOptions,
} from "../../../src/engine/models/local_model_store";
import { sha256Hex, timing } from "./run_download";

/** A model small enough for a test, with the bytes its file has. */
export interface TestModel {
  entry: CatalogueEntry;
  content: Buffer;
}

export function testModel(id: string, sizeBytes: number, changes: Partial<CatalogueEntry> = {}): TestModel {
  const content = Buffer.concat([Buffer.from("GGUF"), randomBytes(sizeBytes - 4)]);
  const entry: CatalogueEntry = {
    id,
    name: `Model ${id}`,
    roles: ["fast", "main"],
    draft: false,
    trainedForCode: true,
    hubPath: `Owner/${id}/resolve/main/${id}.gguf`,
    file: `${id}.gguf`,
    sizeBytes,
    sha256: sha256Hex(content),
    license: "Apache-2.0",
    licenseUrl: "https://example.org/license",
    commercialUse: true,
    contextLength: 4096,
    requiredBytes: sizeBytes,
    ...changes,
  };
  return { entry, content };
}

/** A store of these models in a folder, as on a machine with 16 GiB. */
export function storeOf(
  models: readonly TestModel[],
  modelsDirectory: string,
  changes: Partial<ModelStoreOptions> = {},
): LocalModelStore {
  return createModelStore({
    modelsDirectory,
    totalMemoryBytes: 16 * 2 ** 30,
    proxy: "",
    noProxy: "",
    mirror: "",
    log: () => undefined,
    catalogue: models.map(({ entry }) => entry),
    timing,
    ...changes,
  });
}
