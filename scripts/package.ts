/**
 * `npm run package -- [--target PLATFORM]`: a VSIX for one platform in artifacts/, checked for what it holds.
 * `npm run package -- --pack ID [--target PLATFORM] [--check]`: an engine pack for it, which a release publishes beside the
 * VSIX. Its checksum goes into the catalogue; with --check it has to be the one that is there.
 * `npm run package -- --archive [--target PLATFORM] [--pack ID ...] [--model ID ...]`: one archive with the VSIX, these packs and
 * these models of the catalogue, for machines without a network.
 * PowerShell keeps the first `--` to itself: `node scripts/run.mjs package` takes the same options in every shell.
 *
 * Builds the addon first, for the platform it runs on and for those that scripts/setup/cross_build.ts knows. The folder
 * prebuilds/<platform>-<arch>/ of any other platform has to be brought from a machine of that kind.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createVSIX } from "@vscode/vsce";
import { bundle } from "../esbuild.js";
import manifest from "../package.json";
import { sha256Of } from "../src/engine/models/checksum";
import { packCatalogue } from "../src/engine/packs/pack_catalogue";
import { ensureModel } from "./fetch_model";
import { crossBuild, isCrossTarget } from "./setup/cross_build";
import { hostPlatform } from "./setup/engine_libraries";
import { buildPack } from "./setup/engine_pack";
import { buildNative } from "./setup/native_build";
import { packageOffline } from "./setup/offline_archive";
import { parsePackageArguments, type PackageRequest } from "./setup/package_arguments";
import { packagedReadme } from "./setup/packaged_readme";
import { ProgressBar } from "./setup/progress_bar";
import { runScript } from "./setup/run_script";
import { checkAgainstBaseline } from "./setup/system_baseline";
import { listZip } from "./setup/zip_listing";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Everything a VSIX may hold, and all of it must be there. Sizes are reported, so nobody is surprised. */
const everywhere: [description: string, pattern: RegExp][] = [
  ["the manifest", /^extension\/package\.json$/],
  ["the VSIX manifest", /^(extension\.vsixmanifest|\[Content_Types\]\.xml)$/],
  ["the documents", /^extension\/(readme\.md|changelog\.md|LICENSE\.txt|THIRD_PARTY_NOTICES)$/i],
  [
    "the bundles",
    /^extension\/dist\/(extension\.cjs|engine_host\.cjs|host_watchdog\.cjs|quantise_worker\.cjs|webview\/(chat|memory)\.(js|css))$/,
  ],
  ["icons and walkthrough", /^extension\/media\/[\w./-]+\.(svg|png|md)$/],
  ["pictures of the documents", /^extension\/docs\/images\/[\w-]+\.png$/],
  ["the addon", /^extension\/prebuilds\/[\w-]+\/nmos\.node$/],
  ["the engine libraries", /^extension\/prebuilds\/[\w-]+\/(lib)?(llama|ggml)[\w.-]*\.(so|dll|dylib)$/],
];

/** Of the Visual C++ runtime, one by one what the engine libraries import: a new Windows has none of it. */
const onWindows = ["msvcp140", "vcruntime140", "vcruntime140_1"].map((name): [string, RegExp] => [
  `${name}.dll`,
  new RegExp(`^extension/prebuilds/[\\w-]+/${name}\\.dll$`),
]);

export interface PackagedFile {
  path: string;
  bytes: number;
}

/** Builds the addon where that is possible here, bundles for production and packages; returns the checked VSIX. */
export async function packageExtension(target: string = hostPlatform): Promise<PackagedFile> {
  if (target === hostPlatform) await buildNative();
  else if (isCrossTarget(target)) await crossBuild(target);
  const prebuilt = join("prebuilds", target);
  if (!existsSync(join(root, prebuilt, "nmos.node"))) {
    throw new Error(
      `Expected ${prebuilt}/nmos.node for the target ${target}: build it on such a machine with "npm test -- --only native" and copy the folder here.`,
    );
  }
  checkAgainstBaseline(join(root, prebuilt), target);
  await bundle({ production: true });
  const artifacts = join(root, "artifacts");
  mkdirSync(artifacts, { recursive: true });
  const path = join(artifacts, `nmos-${target}.vsix`);
  const ignoreFile = join(artifacts, ".vscodeignore");
  const ignored = readFileSync(join(root, ".vscodeignore"), "utf8").trimEnd().split(/\r?\n/);
  const readme = "artifacts/README.md";
  // vsce gives relative links the address of the repository.
  const hasRepository = "repository" in manifest;
  const shipped = hasRepository ? ignored : ignored.map((line) => (line === "!README.md" ? `!${readme}` : line));
  writeFileSync(ignoreFile, [...shipped, `!${prebuilt.replaceAll("\\", "/")}/**`, ""].join("\n"));
  const text = readFileSync(join(root, "README.md"), "utf8");
  writeFileSync(
    join(root, readme),
    packagedReadme(text, (file) => ignored.includes(`!${file}`)),
  );
  try {
    await createVSIX({
      cwd: root,
      packagePath: path,
      target,
      ignoreFile,
      dependencies: false,
      allowMissingRepository: true,
      rewriteRelativeLinks: hasRepository,
      ...(hasRepository ? {} : { readmePath: readme }),
    });
  } finally {
    rmSync(ignoreFile);
    rmSync(join(root, readme));
  }
  await check(path, target);
  return { path, bytes: statSync(path).size };
}

/** Builds an engine pack. */
async function packagePack(id: string, target: string, check: boolean): Promise<PackagedFile> {
  const { path, changed } = await buildPack(id, target, { check });
  if (changed)
    console.log("Its checksum is new: commit src/engine/packs/pack_catalogue.json and build the VSIX after it.");
  return { path, bytes: statSync(path).size };
}

/** The pack that an earlier build has left, when it is the one of the catalogue, or a new one. */
async function ensurePack(id: string, target: string): Promise<string> {
  const known = packCatalogue.find((entry) => entry.id === id && entry.platform === target);
  const built = known && join(root, "artifacts", known.archive.file);
  if (built && existsSync(built) && (await sha256Of(built)) === known.archive.sha256) return built;
  return (await buildPack(id, target, { check: false })).path;
}

async function offlineArchive({ target, packs, models }: Extract<PackageRequest, { kind: "offline" }>) {
  const { version } = manifest;
  const shown: { bar?: ProgressBar } = {};
  const onProgress = (bytes: number, totalBytes: number) => {
    shown.bar ??= new ProgressBar("Writing the archive", totalBytes);
    shown.bar.update(bytes);
  };
  const path = await packageOffline(
    { version, target, packs, models, folder: join(root, "artifacts"), onProgress },
    { extension: async (platform) => (await packageExtension(platform)).path, pack: ensurePack, model: ensureModel },
  );
  shown.bar?.finish();
  return { path, bytes: statSync(path).size };
}

async function packageAll(request: PackageRequest): Promise<PackagedFile[]> {
  switch (request.kind) {
    case "extension":
      return [await packageExtension(request.target)];
    case "offline":
      return [await offlineArchive(request)];
    case "packs": {
      const files = [];
      for (const id of request.packs) files.push(await packagePack(id, request.target, request.check));
      return files;
    }
  }
}

async function check(path: string, target: string): Promise<void> {
  const files = await listZip(path);
  const expected = target.startsWith("win32-") ? [...everywhere, ...onWindows] : everywhere;
  const stray = files.filter((file) => !expected.some(([, pattern]) => pattern.test(file)));
  if (stray.length > 0) throw new Error(`${path} holds files it should not: ${stray.join(", ")}`);
  const missing = expected.filter(([, pattern]) => !files.some((file) => pattern.test(file)));
  if (missing.length > 0) throw new Error(`${path} lacks ${missing.map(([description]) => description).join(", ")}`);
  const foreign = files.filter((file) => file.includes("/prebuilds/") && !file.includes(`/prebuilds/${target}/`));
  if (foreign.length > 0) throw new Error(`${path} is for ${target} but holds ${foreign.join(", ")}`);
  const libraries = readdirSync(join(root, "prebuilds", target));
  const left = libraries.filter((file) => !files.includes(`extension/prebuilds/${target}/${file}`));
  if (left.length > 0) throw new Error(`${path} lacks ${left.join(", ")} of prebuilds/${target}`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runScript(async () => {
    for (const { path, bytes } of await packageAll(parsePackageArguments(process.argv.slice(2)))) {
      console.log(`${path}: ${(bytes / 1e6).toFixed(1)} MB`);
    }
  });
}
