/**
 * `npm start [-- --terminal] [--prompt TEXT] [--model ID|FILE] [--vram-limit MIB]`: sets everything up and runs NMOS:
 * in VS Code with a sample workspace where there is one, else in the terminal. What is up to date is not done again.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { bundle } from "../esbuild.js";
import { EngineError } from "../src/shared/errors";
import { ensureModel } from "./fetch_model";
import { defaultModel } from "./setup/default_model";
import { findCommand } from "./setup/find_command";
import { buildNative, prebuildDirectory } from "./setup/native_build";
import { tryCommand } from "./setup/run_command";
import { runScript } from "./setup/run_script";
import { runTerminal } from "./terminal/terminal_session";

const root = fileURLToPath(new URL("..", import.meta.url));

interface StartOptions {
  /** An id of the catalogue, or the path of a GGUF file. */
  model: string;
  terminal: boolean;
  prompt: string | undefined;
  vramLimitMiB: number | undefined;
}

function parseOptions(): StartOptions {
  const { values } = parseArgs({
    options: {
      terminal: { type: "boolean", default: false },
      prompt: { type: "string" },
      model: { type: "string", default: defaultModel },
      "vram-limit": { type: "string" },
    },
  });
  const limit = values["vram-limit"];
  if (limit !== undefined && !/^\d+$/.test(limit)) {
    throw new EngineError("INVALID_ARGUMENT", `Expected --vram-limit in whole MiB, got ${limit}.`);
  }
  const vramLimitMiB = limit === undefined ? undefined : Number(limit);
  const terminal = values.terminal || values.prompt !== undefined;
  return { model: values.model, terminal, prompt: values.prompt, vramLimitMiB };
}

/** Makes sure that the model is there; returns how the engine is to be asked for it. */
async function setUpModel(model: string): Promise<string> {
  if (!model.endsWith(".gguf")) {
    await ensureModel(model);
    return model;
  }
  const path = resolve(model);
  if (!existsSync(path)) throw new EngineError("MODEL_NOT_FOUND", `There is no file ${path}.`);
  return path;
}

/** Another value after a set-up that changed what the engine host runs. */
function engineBuild(): string {
  const script = join(root, "dist", "engine_host.cjs");
  const addon = join(root, prebuildDirectory, "nmos.node");
  if (!existsSync(script) || !existsSync(addon)) return "";
  return `${createHash("sha256").update(readFileSync(script)).digest("hex")} ${statSync(addon).mtimeMs}`;
}

async function openInVsCode(): Promise<void> {
  const samples = join(root, "samples");
  console.log(`Opening VS Code with ${samples}; "npm start -- --terminal" runs NMOS here instead.`);
  const status = await tryCommand("code", [`--extensionDevelopmentPath=${root}`, samples]);
  if (status !== 0) {
    throw new EngineError("ENGINE_UNAVAILABLE", `VS Code ended with status ${status}. Try: npm start -- --terminal`);
  }
}

async function start(): Promise<void> {
  const { model, terminal, prompt, vramLimitMiB } = parseOptions();
  process.chdir(root);
  const before = engineBuild();
  await buildNative();
  await bundle();
  const ref = await setUpModel(model);
  if (!terminal && findCommand("code", "code.cmd")) {
    await openInVsCode();
    return;
  }
  const replaceHost = engineBuild() !== before;
  await runTerminal({ extensionRoot: root, model: ref, prompt, vramLimitMiB, replaceHost });
}

await runScript(start);
