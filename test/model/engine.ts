import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createEngineClient, type ConfigurableEngineClient } from "../../src/engine/client/create_engine_client";
import { modelsDirectory } from "../../src/engine/paths";
import { DEFAULT_ENGINE_SETTINGS, type EngineSettings } from "../../src/shared/engine_settings";

export const model = "qwen2.5-coder-0.5b";

export interface TestEngine {
  client: ConfigurableEngineClient;
  /** A folder that is gone after the tests. */
  directory: string;
  settings: EngineSettings;
  dispose: () => Promise<void>;
}

/** The real engine host with the real addon in a scratch home, with this user's models. */
export function startEngine(): TestEngine {
  const directory = mkdtempSync(join(tmpdir(), "nmos-model-"));
  const settings = { ...DEFAULT_ENGINE_SETTINGS, modelsDirectory: modelsDirectory(), contextLength: 1024 };
  const client = createEngineClient({
    extensionRoot: resolve("."),
    clientName: "model tests",
    settings,
    env: { ...process.env, NMOS_HOME: join(directory, "home") },
  });
  return {
    client,
    directory,
    settings,
    async dispose() {
      await client.endHost();
      client.dispose();
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
