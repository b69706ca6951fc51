import { EngineError } from "../../shared/errors";
import { compareVersions } from "../compare_versions";
import type { CatalogueEntry } from "../models/catalogue";
import type { PackEntry } from "../packs/pack_catalogue";
import type { ArchivedExtension, ArchivedPart, ArchiveManifest } from "./archive_manifest";

/** What this version of NMOS knows. */
export interface KnownParts {
  version: string;
  /** `<platform>-<arch>`. */
  platform: string;
  models: readonly CatalogueEntry[];
  /** For this platform, in order of preference. */
  packs: readonly PackEntry[];
}

/** What can be installed from an archive by the version that runs. */
export interface ArchivePlan {
  packs: { entry: PackEntry; part: ArchivedPart }[];
  models: { entry: CatalogueEntry; part: ArchivedPart }[];
  /** What only the newer version in the archive knows. */
  later: ArchivedPart[];
  /** The extension in the archive, when it is newer. */
  update: ArchivedExtension | null;
}

/**
 * Compares an archive with what this version of NMOS knows, without looking at its files. Throws `INVALID_ARGUMENT` for one
 * of another platform, and for one of this or an older version with a part that this version knows with another checksum,
 * or not at all: nothing that is unknown here could be checked.
 */
export function planArchive(manifest: ArchiveManifest, known: KnownParts, path: string): ArchivePlan {
  const { version, target, extension, parts } = manifest;
  if (target !== known.platform) {
    throw new EngineError(
      "INVALID_ARGUMENT",
      `${path} is for ${target}, but this machine is ${known.platform}. Make one for it: node scripts/run.mjs package --archive --target ${known.platform}.`,
    );
  }
  const order = compareVersions(version, known.version);
  const isNewer = order > 0;
  const find = (kind: ArchivedPart["kind"], id: string, sha256: string) =>
    parts.find((part) => part.kind === kind && part.id === id && part.sha256 === sha256);
  const packs = known.packs.flatMap((entry) => {
    const part = find("pack", entry.id, entry.archive.sha256);
    return part && part.sizeBytes === entry.archive.sizeBytes ? [{ entry, part }] : [];
  });
  const models = known.models.flatMap((entry) => {
    const part = find("model", entry.id, entry.sha256);
    return part && part.sizeBytes === entry.sizeBytes ? [{ entry, part }] : [];
  });
  const planned = new Set([...packs, ...models].map(({ part }) => part));
  const unknown = parts.filter((part) => !planned.has(part));
  if (unknown.length > 0 && !isNewer) {
    const names = unknown.map(({ name, sha256 }) => `${name} (SHA-256 ${sha256})`).join(", ");
    const what =
      order === 0
        ? `was made with another build of NMOS ${version} and holds what this one does not know, or knows with another checksum: ${names}. Take the VSIX out of the archive and install it, reload the windows, run "NMOS: Restart Engine", then install the archive again.`
        : `was made with NMOS ${version} and holds what the catalogue of NMOS ${known.version} does not have, or has with another checksum: ${names}. Make the archive with NMOS ${known.version}; what else is in it can be taken out and installed one by one.`;
    throw new EngineError("INVALID_ARGUMENT", `${path} ${what}`);
  }
  return { packs, models, later: unknown, update: isNewer ? extension : null };
}
