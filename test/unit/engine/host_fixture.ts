import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import {
  createEngineClient,
  type ConfigurableEngineClient,
  type EngineClientOptions,
} from "../../../src/engine/client/create_engine_client";
import type { EngineState } from "../../../src/engine/client/engine_client";
import { enginePaths, thisMachine, type Paths } from "../../../src/engine/paths";
import { lockHolder } from "../../../src/engine/process_lock";
import type { ChatParams } from "../../../src/shared/chat";
import { DEFAULT_ENGINE_SETTINGS, type EngineSettings } from "../../../src/shared/engine_settings";

export interface TestClient extends ConfigurableEngineClient {
  /** Every state the client went through. */
  readonly states: EngineState[];
}

/** A user of their own with a fake addon, a model file and as many clients as a test wants. Real processes and sockets. */
export class HostFixture {
  private readonly clients: ConfigurableEngineClient[] = [];

  private constructor(
    readonly directory: string,
    readonly paths: Paths,
    readonly env: NodeJS.ProcessEnv,
  ) {}

  static async create(environment: Record<string, string> = {}): Promise<HostFixture> {
    const directory = mkdtempSync(join(tmpdir(), "nmos-host-"));
    const addon = join(directory, "fake_addon.cjs");
    await build({
      entryPoints: [resolve("test/unit/engine/fake_addon.ts")],
      outfile: addon,
      bundle: true,
      platform: "node",
      format: "cjs",
      logLevel: "error",
    });
    for (const file of ["model.gguf", "gated.gguf"]) writeFileSync(join(directory, file), "GGUF and no more");
    const env = { ...process.env, NMOS_HOME: join(directory, "home"), NMOS_ADDON: addon, ...environment };
    return new HostFixture(directory, enginePaths(thisMachine(env)), env);
  }

  client(
    settings: Partial<EngineSettings> = DEFAULT_ENGINE_SETTINGS,
    options: Pick<EngineClientOptions, "version" | "onOtherVersion"> = {},
  ): TestClient {
    const client = createEngineClient({
      extensionRoot: resolve("."),
      clientName: "test",
      settings,
      env: this.env,
      ...options,
    });
    this.clients.push(client);
    const states: EngineState[] = [];
    client.onStateChanged((state) => states.push(state));
    return Object.assign(client, { states });
  }

  /** A chat whose answer is what `command` says; see fake_addon.ts. */
  chat(command: string): ChatParams {
    return { model: this.model, messages: [{ role: "user", content: command }] };
  }

  /** A model that loads at once. */
  get model(): string {
    return join(this.directory, "model.gguf");
  }

  /** A model that does not finish loading. */
  get gatedModel(): string {
    return join(this.directory, "gated.gguf");
  }

  /** Process id of the living host, from its lock. */
  hostPid(): number | null {
    return lockHolder(this.paths.lockFile);
  }

  log(): string {
    return readFileSync(this.paths.logFile, "utf8");
  }

  dispose(): void {
    for (const client of this.clients) client.dispose();
    const pid = this.hostPid();
    if (pid !== null) process.kill(pid, "SIGKILL");
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
    if (this.paths.socketDirectory) rmSync(this.paths.socketDirectory, { recursive: true, force: true });
  }
}
