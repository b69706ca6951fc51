import { EngineError } from "../../shared/errors";
import type { CatalogueEntry } from "./catalogue";
import { sizeOf } from "./download_lock";

/** The model of the catalogue that a file may be, by its size. Throws `MODEL_UNKNOWN` when there is none. */
export function entryOfSize(path: string, catalogue: readonly CatalogueEntry[]): CatalogueEntry {
  const size = sizeOf(path);
  if (size === null)
    throw new EngineError("MODEL_NOT_FOUND", `Expected a model at ${path}, but there is no such file.`);
  const entry = catalogue.find(({ sizeBytes }) => sizeBytes === size);
  if (entry) return entry;
  throw new EngineError(
    "MODEL_UNKNOWN",
    `${path} is no model of the catalogue, so there is no checksum to compare it with. If you trust it, choose it with "NMOS: Select Model" and "Choose a GGUF file".`,
  );
}
