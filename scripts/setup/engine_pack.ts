/**
 * Engine packs: made from packages that native/engine_packs.json pins, recorded in the catalogue that the extension
 * downloads them by.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";
import recipes from "../../native/engine_packs.json";
import { packCatalogue, type PackArchive } from "../../src/engine/packs/pack_catalogue";
import { ensureNpmPackage, type PinnedPackage } from "./npm_package";
import { ensureWheel, type PinnedWheel } from "./python_wheel";
import { checkPack } from "./system_baseline";
import { expectArchive, writePack, type PackContent } from "./write_pack";

/** Names in the pack by paths in the source. */
type SourceFiles = Partial<Record<string, string>>;

/** A package of the npm registry. */
interface PackageSource extends PinnedPackage {
  files: SourceFiles;
}

/** A wheel of the Python package index. */
interface WheelSource extends PinnedWheel {
  files: SourceFiles;
}

interface PackRecipe {
  backend: string;
  libraries: string[];
  sources: (PackageSource | WheelSource)[];
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const catalogueFile = join(root, "src/engine/packs/pack_catalogue.json");

/**
 * Makes `artifacts/nmos-ID-PLATFORM.nmospack` and records its size and checksum; returns its path and whether they changed.
 * With `check` nothing is recorded: it throws when they differ.
 */
export async function buildPack(
  id: string,
  platform: string,
  { check = false } = {},
): Promise<{ path: string; changed: boolean }> {
  const recipe = recipeOf(id, platform);
  const known = packCatalogue.find((entry) => entry.id === id && entry.platform === platform);
  if (!known) throw new Error(`src/engine/packs/pack_catalogue.json has no entry for ${id} on ${platform}: add one.`);
  const contents: PackContent[] = [];
  for (const source of recipe.sources) contents.push(...(await contentsOf(source)));
  const isLibrary = ({ name }: PackContent) => name === recipe.backend || recipe.libraries.includes(name);
  checkPack(`The pack ${id} for ${platform}`, contents.filter(isLibrary), platform);
  contents.push({ name: "licenses/llama.cpp.txt", path: join(root, "native/licenses/llama.cpp.txt") });
  const artifacts = join(root, "artifacts");
  mkdirSync(artifacts, { recursive: true });
  const path = join(artifacts, `nmos-${id}-${platform}.nmospack`);
  const { backend, libraries } = recipe;
  const archive = await writePack(path, { id, platform, backend, libraries }, contents);
  if (check) expectArchive(archive, known.archive);
  const changed = archive.sha256 !== known.archive.sha256;
  if (changed) await record(id, platform, archive);
  return { path, changed };
}

function recipeOf(id: string, platform: string): PackRecipe {
  const packs: Partial<Record<string, Partial<Record<string, PackRecipe>>>> = recipes;
  const recipe = packs[id]?.[platform];
  if (recipe) return recipe;
  const all = Object.entries(packs).flatMap(([pack, platforms]) =>
    Object.keys(platforms ?? {}).map((one) => `--pack ${pack} --target ${one}`),
  );
  throw new Error(`Expected one of ${all.join(", ")}, got --pack ${id} --target ${platform}.`);
}

async function contentsOf(source: PackageSource | WheelSource): Promise<PackContent[]> {
  const folder = "package" in source ? await ensureNpmPackage(source) : await ensureWheel(source);
  return Object.entries(source.files).map(([from, name = ""]) => {
    const path = join(folder, from);
    if (!existsSync(path)) throw new Error(`Expected ${from} in ${folder}, but it is not there.`);
    return { name, path };
  });
}

async function record(id: string, platform: string, archive: PackArchive): Promise<void> {
  const entries = packCatalogue.map((entry) =>
    entry.id === id && entry.platform === platform ? { ...entry, archive } : entry,
  );
  const config = await resolveConfig(catalogueFile);
  writeFileSync(catalogueFile, await format(JSON.stringify(entries), { ...config, filepath: catalogueFile }));
}
