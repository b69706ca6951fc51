import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createEngineClient, type ConfigurableEngineClient } from "../../src/engine/client/create_engine_client";
import { DEFAULT_ENGINE_SETTINGS } from "../../src/shared/engine_settings";
import type { Stops } from "../harness/stops";
import type { Conditions } from "./contender";

/** An engine host that nobody is waiting for any more leaves after this time. */
const graceMs = 1_000;

export interface EngineUnderTest {
  client: ConfigurableEngineClient;
  /** Where the model and the logs of this engine lie; deleted when it is closed. */
  home: string;
  processIds: () => number[];
  close: () => Promise<void>;
}

/**
 * The engine as a window of VS Code has it: the client in this process, the host in one of its own, in a folder of its
 * own, so that the user's host is neither used nor disturbed. `env` adds to the environment of the host.
 */
export async function startEngine(
  root: string,
  { modelPath, threads, contextLength }: Conditions,
  stops: Stops,
  env: Record<string, string> = {},
): Promise<EngineUnderTest> {
  const home = mkdtempSync(join(tmpdir(), "nmos-bench-"));
  mkdirSync(home, { recursive: true });
  const client = createEngineClient({
    extensionRoot: root,
    clientName: "bench",
    settings: {
      ...DEFAULT_ENGINE_SETTINGS,
      modelsDirectory: dirname(modelPath),
      gpu: "off",
      threads,
      contextLength,
      // The peers decode plainly, too.
      speculation: "off",
      idleUnloadMinutes: 0,
    },
    env: { ...process.env, NMOS_HOME: home, NMOS_HOST_GRACE_MS: String(graceMs), ...env },
  });
  const close = stops.add(async () => {
    try {
      await client.endHost();
    } finally {
      client.dispose();
      rmSync(home, { recursive: true, force: true });
    }
  });
  try {
    await client.request("models/load", { model: modelPath, role: "main" });
  } catch (thrown) {
    await close();
    throw thrown;
  }
  const processIds = (): number[] => (client.state.kind === "running" ? [client.state.hostPid] : []);
  return { client, home, processIds, close };
}
