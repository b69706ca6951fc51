import entries from "./pack_catalogue.json";

/** An engine pack: a backend that the package leaves out because of its size, with the libraries it needs. */
export interface PackEntry {
  /** Such as `cuda13`. */
  id: string;
  title: string;
  /** `<platform>-<arch>`, such as `win32-x64`. */
  platform: string;
  /** Oldest compute capability it has code for. */
  leastCapability: number;
  /** Compute capabilities it has machine code for; for others the driver compiles at the first use. */
  machineCode: string[];
  /** First branch (the number before the first dot) of NVIDIA's driver that runs the machine code. */
  machineCodeDriver: number;
  /** First branch of the driver that compiles for the others. */
  compileDriver: number;
  archive: PackArchive;
}

/** The file that a release publishes; `npm run package -- --pack` writes these figures. */
export interface PackArchive {
  file: string;
  sizeBytes: number;
  sha256: string;
  /** Of disk for what is in it. */
  unpackedBytes: number;
}

/** In order of preference. Another version of the engine library has other archives. */
export const packCatalogue: readonly PackEntry[] = entries;

/** Where a release publishes its files; null when the manifest (package.json) names no repository. */
export function releasesUrl(manifest: object): string | null {
  const { repository } = manifest as { repository?: string | { url?: string } };
  const url = typeof repository === "object" ? repository.url : repository;
  if (typeof url !== "string") return null;
  const address = url.replace(/^git\+/, "").replace(/(?:\.git)?\/*$/, "");
  return /^https:\/\/[^/]+\/./.test(address) ? `${address}/releases` : null;
}

/** Where to download a pack; `mirror` replaces the address of the releases. Null when there is neither. */
export function packUrl(
  { archive }: Pick<PackEntry, "archive">,
  version: string,
  releases: string | null,
  mirror: string,
): string | null {
  const base = mirror || releases;
  return base ? `${base.replace(/\/+$/, "")}/download/v${version}/${archive.file}` : null;
}
