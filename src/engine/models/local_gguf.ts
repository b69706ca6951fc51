import { closeSync, openSync, readdirSync, readSync, statSync, type Stats } from "node:fs";
import { basename, join } from "node:path";
import { EngineError } from "../../shared/errors";
import type { ModelRole, ModelState } from "../../shared/models";
import type { InstalledModel } from "./model_store";

/** A file outside the catalogue may serve any role. */
const roles: ModelRole[] = ["fast", "main"];

/** Second and later parts of a model that is split over files; the first stands for all. */
const laterPart = /-(?!00001)\d{5}-of-\d{5}\.gguf$/;

/** A GGUF file outside the catalogue, by its absolute path. Throws MODEL_NOT_FOUND or MODEL_INVALID. */
export function localModel(path: string): InstalledModel {
  const { size } = ggufStat(path);
  return { ref: path, name: basename(path, ".gguf"), path, roles, sizeBytes: size };
}

/** GGUF files in a folder but those of these names. What cannot be read is left out. */
export function localModels(directory: string, except: ReadonlySet<string>): ModelState[] {
  return filesIn(directory)
    .filter((file) => file.endsWith(".gguf") && !except.has(file) && !laterPart.test(file))
    .flatMap((file) => {
      try {
        return [stateOf(localModel(join(directory, file)))];
      } catch {
        return [];
      }
    });
}

function stateOf({ ref, name, path, sizeBytes }: InstalledModel): ModelState {
  return {
    ref,
    name,
    roles,
    sizeBytes,
    license: "",
    licenseUrl: "",
    contextLength: 0,
    requiredBytes: sizeBytes,
    installed: true,
    path,
    partialBytes: 0,
    downloading: false,
    recommendedFor: [],
    fits: true,
  };
}

function ggufStat(path: string): Stats {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isFile()) {
    throw new EngineError(
      "MODEL_NOT_FOUND",
      `Expected a GGUF file at ${path}, but there is none. Check the path of the model in the settings.`,
    );
  }
  if (readMagic(path) !== "GGUF") {
    throw new EngineError(
      "MODEL_INVALID",
      `${path} is no GGUF file: it does not begin with "GGUF". Choose a model in GGUF format.`,
    );
  }
  return stat;
}

function readMagic(path: string): string {
  const magic = Buffer.alloc(4);
  try {
    const file = openSync(path, "r");
    try {
      readSync(file, magic, 0, magic.length, 0);
    } finally {
      closeSync(file);
    }
  } catch (thrown) {
    throw new EngineError("MODEL_INVALID", `${path} cannot be read: ${String(thrown)}. Check its permissions.`, {
      cause: thrown,
    });
  }
  return magic.toString("latin1");
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
