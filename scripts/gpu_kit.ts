/**
 * `node scripts/run.mjs gpu_kit KIT CUBLAS`: builds what the benchmarks of a real card need and lays it out in the folder KIT
 * (bench/gpu/kit.ts). CUBLAS is a folder with cuBLAS's headers. Called by bench/gpu.sh.
 */
import { copyFileSync, cpSync, existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { kitIn, type Kit, type KitVersions } from "../bench/gpu/kit";
import { describeCommit } from "../bench/harness/machine";
import { bundle } from "../esbuild.js";
import pins from "../native/engine_libraries.json";
import { ensureModel } from "./fetch_model";
import { ensureEngineLibraries } from "./setup/engine_libraries";
import { buildBenchPrograms, buildDirectory, buildNative, prebuildDirectory } from "./setup/native_build";
import { runCommand } from "./setup/run_command";
import { runScript } from "./setup/run_script";
import { vocabularyOf } from "./setup/synthetic_model";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The model of the core's tests. */
const smallModel = "smollm2-135m";

await runScript(async () => {
  const [folder, cublas] = process.argv.slice(2);
  if (!folder || !cublas || process.platform !== "linux") {
    throw new Error("Expected the folder to write to and one with cuBLAS's headers, on Linux.");
  }
  const target = resolve(folder);
  const headers = resolve(cublas);
  process.chdir(root);
  await layOut(target, headers);
});

async function layOut(folder: string, cublas: string): Promise<void> {
  const kit = kitIn(folder);
  const { syntheticModel } = await buildBenchPrograms();
  await buildNative();
  await bundle({ production: true });
  const compiled = existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith("cuda-")) : [];
  for (const stale of [kit.extension, kit.ggml, kit.cublas, ...compiled.map((name) => join(folder, name))]) {
    rmSync(stale, { recursive: true, force: true });
  }
  for (const name of ["engine_host.cjs", "host_watchdog.cjs", "quantise_worker.cjs"]) {
    cpSync(join("dist", name), join(kit.extension, "dist", name));
  }
  cpSync("package.json", join(kit.extension, "package.json"));
  cpSync(prebuildDirectory, kit.libraries, { recursive: true });
  for (const program of Object.values(kit.programs)) {
    cpSync(join(buildDirectory, program === kit.programs.coreTests ? "native/tests" : ".", basename(program)), program);
  }
  cpSync(process.execPath, kit.node);
  await bundleScript(kit);
  const { sources } = await ensureEngineLibraries();
  copyCudaSources(join(sources, "ggml"), kit.ggml);
  for (const name of readdirSync(cublas).filter((file) => /^cublas\w*\.h$/.test(file))) {
    cpSync(join(cublas, name), join(kit.cublas, name));
  }
  if (!existsSync(kit.vocabulary)) {
    await runCommand(syntheticModel, ["vocabulary", await ensureModel(vocabularyOf), kit.vocabulary]);
  }
  if (!existsSync(kit.smallModel)) copyFileSync(await ensureModel(smallModel), kit.smallModel);
  const { version, commit } = pins.llamaCpp;
  const versions: KitVersions = {
    commit: describeCommit(),
    versions: { "llama.cpp": `${version} ${commit.slice(0, 12)}` },
  };
  writeFileSync(kit.versions, JSON.stringify(versions, undefined, 2));
}

/** As a module, in which parts of the project find their own place; what they bundle may still ask for `require`. */
async function bundleScript({ script }: Kit): Promise<void> {
  const banner =
    'import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);';
  await build({
    absWorkingDir: root,
    entryPoints: ["bench/gpu/main.ts"],
    outfile: script,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    banner: { js: banner },
    logLevel: "warning",
  });
}

/** The headers and the CUDA backend: of the other backends nothing is compiled. */
function copyCudaSources(from: string, to: string): void {
  // Who compiled them before compiles what has changed.
  const options = { recursive: true, preserveTimestamps: true };
  cpSync(join(from, "include"), join(to, "include"), options);
  const files = readdirSync(join(from, "src"), { withFileTypes: true });
  for (const file of files.filter((one) => one.isFile() && /\.(h|hpp)$/.test(one.name))) {
    cpSync(join(from, "src", file.name), join(to, "src", file.name), options);
  }
  cpSync(join(from, "src", "ggml-cuda"), join(to, "src", "ggml-cuda"), options);
}
