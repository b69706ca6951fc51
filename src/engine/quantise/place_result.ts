import { link, open, rm } from "node:fs/promises";
import { basename, join, dirname, parse } from "node:path";
import { EngineError } from "../../shared/errors";
import { patiently, renamePatiently } from "../models/held_file";
import { removePartial } from "./result_file";

/** A virus scanner that holds a new file lets go soon, and a file system without links never knows any. */
const linkAttempts = 5;

const mostNames = 99;

/** Of a complete result that could not take its name: no list of models shows it. */
export function keptName(target: string): string {
  return `${target}.kept`;
}

/**
 * Gives a file the wanted name, or where that is taken the next that is free (`Model-2.gguf`), and replaces nothing. Resolves
 * with the path it has now. Fails with the system's errors; the file then has its old name.
 */
export async function placeBeside(partial: string, wanted: string, linkOnce = link): Promise<string> {
  const { dir, name, ext } = parse(wanted);
  for (let number = 1; number <= mostNames; ++number) {
    const path = number === 1 ? wanted : join(dir, `${name}-${String(number)}${ext}`);
    if (await takeName(partial, path, linkOnce)) return path;
  }
  throw new EngineError(
    "INVALID_ARGUMENT",
    `${wanted} exists already, as do ${String(mostNames)} files with a number behind that name. Remove some.`,
  );
}

/** False when there is such a file. A link is made only where nothing is; renaming would replace what is there. */
async function takeName(partial: string, path: string, linkOnce: typeof link): Promise<boolean> {
  try {
    await patiently(() => linkOnce(partial, path), { attempts: linkAttempts });
  } catch (thrown) {
    return codeOf(thrown) === "EEXIST" ? false : reserveAndRename(partial, path);
  }
  await removePartial(partial);
  return true;
}

/** Where there are no links (FAT, some network drives): an empty file keeps the name until the result replaces that. */
async function reserveAndRename(partial: string, path: string): Promise<boolean> {
  try {
    await (await open(path, "wx")).close();
  } catch (thrown) {
    if (codeOf(thrown) === "EEXIST") return false;
    throw thrown;
  }
  try {
    await renamePatiently(partial, path);
    return true;
  } catch (thrown) {
    await rm(path, { force: true });
    throw thrown;
  }
}

/** What systems say of a name that is too long in a folder that is there; Windows' words are the last two. */
const badNameCodes = new Set(["ENAMETOOLONG", "ENOENT", "EINVAL"]);

/**
 * Writes the longest name that a result may take, and removes it again. Fails with `INVALID_ARGUMENT` for a name that is too
 * long, otherwise with the system's errors.
 */
export async function ensureNameable(target: string): Promise<void> {
  const probe = join(dirname(target), `${keptName(basename(target))}-${String(mostNames)}`);
  try {
    await (await open(probe, "wx")).close();
  } catch (thrown) {
    if (codeOf(thrown) === "EEXIST") return;
    if (!badNameCodes.has(codeOf(thrown))) throw thrown;
    throw new EngineError(
      "INVALID_ARGUMENT",
      `The folder cannot hold a file of the name ${basename(target)}, which is too long. Give the source a shorter name.`,
    );
  }
  await removePartial(probe);
}

function codeOf(thrown: unknown): string {
  return (thrown as NodeJS.ErrnoException | null)?.code ?? "";
}
