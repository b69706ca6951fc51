import { parseArgs } from "node:util";
import { catalogue } from "../../src/engine/models/catalogue";
import { packCatalogue } from "../../src/engine/packs/pack_catalogue";
import { EngineError } from "../../src/shared/errors";
import { hostPlatform } from "./engine_libraries";

/** What `npm run package` is asked for. */
export type PackageRequest =
  | { kind: "extension"; target: string }
  | { kind: "packs"; target: string; packs: string[]; check: boolean }
  | { kind: "offline"; target: string; packs: string[]; models: string[] };

/** Reads the command line. Throws with what was expected before anything is built. */
export function parsePackageArguments(args: readonly string[]): PackageRequest {
  const { values } = parseArgs({
    args: [...args],
    options: {
      target: { type: "string", default: hostPlatform },
      pack: { type: "string", multiple: true, default: [] },
      model: { type: "string", multiple: true, default: [] },
      // Not "offline", which npm takes for itself where a shell has swallowed the "--" before it.
      archive: { type: "boolean", default: false },
      check: { type: "boolean", default: false },
    },
  });
  const { target, archive, check } = values;
  const packs = [...new Set(values.pack)];
  const models = [...new Set(values.model)];
  const known = packCatalogue.filter(({ platform }) => platform === target).map(({ id }) => id);
  expectKnown(`--pack for ${target}`, packs, known);
  expectKnown(
    "--model",
    models,
    catalogue.map(({ id }) => id),
  );
  if (models.length > 0 && !archive) throw refused("--model is for an archive: give --archive, too.");
  if (check && (archive || packs.length === 0)) {
    throw refused("--check is for packs alone: give --pack, and not --archive.");
  }
  if (archive) return { kind: "offline", target, packs, models };
  return packs.length > 0 ? { kind: "packs", target, packs, check } : { kind: "extension", target };
}

function expectKnown(option: string, given: readonly string[], known: readonly string[]): void {
  const unknown = given.filter((id) => !known.includes(id));
  if (unknown.length === 0) return;
  throw refused(`Expected ${option} to be one of ${known.join(", ") || "none"}, got ${unknown.join(", ")}.`);
}

function refused(message: string): EngineError {
  return new EngineError("INVALID_ARGUMENT", message);
}
