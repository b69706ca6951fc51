/**
 * `npm run web [-- --folder DIR]`: packages NMOS and serves VS Code in the browser with it, on this machine only, until
 * Ctrl-C. The profile is kept between runs.
 */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { EngineError } from "../src/shared/errors";
import { ensureModel } from "./fetch_model";
import { packageExtension } from "./package";
import { cacheDirectory } from "./setup/cache";
import { ensureCodeServer } from "./setup/code_server";
import { defaultModel } from "./setup/default_model";
import { runScript } from "./setup/run_script";
import { WorkbenchServer } from "./setup/workbench_server";

const samples = fileURLToPath(new URL("../samples", import.meta.url));

async function serve(): Promise<void> {
  const { values } = parseArgs({ options: { folder: { type: "string", default: samples } } });
  const folder = resolve(values.folder);
  if (!existsSync(folder)) throw new EngineError("INVALID_ARGUMENT", `There is no folder ${folder}.`);
  const codeServer = await ensureCodeServer();
  await ensureModel(defaultModel);
  const { path } = await packageExtension();
  const directory = cacheDirectory("web");
  const server = await WorkbenchServer.start({
    codeServer,
    directory,
    vsixFiles: [path],
    settings: {},
    // The user's own home, for the models and the engine host that other windows use; but no file of code-server in it.
    env: { HOME: homedir(), CODE_SERVER_CONFIG: join(directory, "config.yaml") },
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void server.stop());
  console.log(`\nNMOS in VS Code: ${server.url(folder)}\nThe log is ${server.logFile}. Ctrl-C stops it.`);
  await server.ended;
}

await runScript(serve);
