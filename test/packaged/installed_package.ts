import {
  chmodSync,
  cpSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { ensureModel } from "../../scripts/fetch_model";
import { unpackZip } from "../../scripts/setup/unpack_zip";
import { windowsPlatform } from "../../scripts/setup/cross_build";
import { WindowsMachine } from "./windows_machine";

/** The package for Windows in a read-only folder of a user's profile, and the small model in another one. */
export class InstalledPackage {
  private readonly installed: string;

  private constructor(
    readonly machine: WindowsMachine,
    /** Where it lies, as this process sees it. */
    readonly extension: string,
    readonly model: string,
    /** A folder with a damaged file of the name of every library that is in the package, and of similar ones. */
    readonly damaged: string,
  ) {
    this.installed = this.state();
  }

  static async install(): Promise<InstalledPackage> {
    const machine = await WindowsMachine.start();
    const extension = join(machine.profile, ".vscode", "extensions", "nmos");
    await unpackZip(resolve(`artifacts/nmos-${windowsPlatform}.vsix`), "extension", extension);
    const model = join(machine.profile, "Modelle 模型", "smollm2.gguf");
    mkdirSync(dirname(model));
    cpSync(await ensureModel("smollm2-135m"), model);
    const damaged = join(machine.profile, "Downloads");
    mkdirSync(damaged);
    const libraries = readdirSync(join(extension, "prebuilds", windowsPlatform));
    for (const name of [...libraries, "llama.dll", "ggml.dll"]) writeFileSync(join(damaged, name), "MZ and no more");
    setModes(extension, 0o555, 0o444);
    return new InstalledPackage(machine, extension, model, damaged);
  }

  /** A folder of the profile, as this process sees it. It need not exist. */
  folder(name: string): string {
    return join(this.machine.profile, name);
  }

  /** The addon and the engine's libraries. */
  get libraries(): string {
    return join(this.extension, "prebuilds", windowsPlatform);
  }

  /** The Visual C++ runtime that lies beside them, names of files. */
  get runtime(): string[] {
    return readdirSync(this.libraries).filter((name) => /^(msvcp|vcruntime)/.test(name));
  }

  /** The model at a path of more than 260 characters, the most that Windows opens without being asked in another way. */
  distantModel(): string {
    const path = join(this.folder("Daten"), ...Array<string>(8).fill("模型-".repeat(14)), "smollm2.gguf");
    mkdirSync(dirname(path), { recursive: true });
    linkSync(this.model, path);
    return path;
  }

  /** The package's programs and libraries below a folder whose path has more than 260 characters, as this process sees it. */
  distantExtension(): string {
    const extension = join(this.folder("Programme"), ...Array<string>(8).fill("Erweiterungen ".repeat(3).trim()));
    for (const folder of ["dist", join("prebuilds", windowsPlatform)]) {
      const target = join(extension, folder);
      mkdirSync(target, { recursive: true });
      const files = readdirSync(join(this.extension, folder), { withFileTypes: true }).filter((entry) =>
        entry.isFile(),
      );
      for (const { name } of files) linkSync(join(this.extension, folder, name), join(target, name));
    }
    return extension;
  }

  /** The plainest backend for the processor under another name, alone in a folder. */
  distantBackend(): string {
    const path = join(this.folder("pack"), "ggml-distant.dll");
    mkdirSync(dirname(path));
    cpSync(join(this.libraries, "ggml-cpu-x64.dll"), path);
    return path;
  }

  /** A symbolic link to the model, which folders of models shared by several programs are full of. */
  linkedModel(): string {
    const path = this.folder("linked.gguf");
    symlinkSync(this.model, path, "file");
    return path;
  }

  /** Files that are no model, by the code of the error that each should be refused with. */
  badModels(): Record<"MODEL_NOT_FOUND" | "MODEL_INVALID" | "MODEL_TRUNCATED", string> {
    const [missing, text, part] = ["missing", "text", "part"].map((name) => join(dirname(this.model), `${name}.gguf`));
    if (!missing || !text || !part) throw new Error("unreachable");
    writeFileSync(text, "<!doctype html><title>404</title>");
    cpSync(this.model, part);
    truncateSync(part, statSync(part).size / 2);
    return { MODEL_NOT_FOUND: missing, MODEL_INVALID: text, MODEL_TRUNCATED: part };
  }

  /** Whether everything in the package's folder is as it was installed, and nothing else is there. */
  isUntouched(): boolean {
    return this.state() === this.installed;
  }

  async remove(): Promise<void> {
    setModes(this.extension, 0o755, 0o644);
    await this.machine.close();
  }

  private state(): string {
    return contents(this.extension)
      .map((path) => {
        const stat = statSync(path);
        return `${path} ${String(stat.mtimeMs)} ${stat.isFile() ? readFileSync(path, "latin1") : ""}`;
      })
      .join("\n");
  }
}

function setModes(directory: string, ofFolders: number, ofFiles: number): void {
  for (const path of contents(directory)) chmodSync(path, statSync(path).isDirectory() ? ofFolders : ofFiles);
}

function contents(directory: string): string[] {
  const below = readdirSync(directory, { recursive: true, encoding: "utf8" });
  return [directory, ...below.map((name) => join(directory, name))];
}
