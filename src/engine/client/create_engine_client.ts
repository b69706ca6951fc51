import { readFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import type { MessageConnection } from "vscode-jsonrpc/node";
import type { Disposable } from "../../shared/disposable";
import { EngineError, toEngineError } from "../../shared/errors";
import {
  PROTOCOL_VERSION,
  type EngineNotifications,
  type EngineSettings,
  type Method,
  type ParamsOf,
  type ResultOf,
} from "../../shared/protocol";
import { call, connect } from "../ipc/rpc";
import { enginePaths, ensureRuntimeDirectory, type Paths } from "../paths";
import { CrashBackoff } from "./crash_backoff";
import type { EngineClient, EngineState, RequestOptions } from "./engine_client";
import { logTail, startHostProcess } from "./host_process";

export interface EngineClientOptions {
  /** Folder with `dist/engine_host.cjs` and `prebuilds/`. */
  extensionRoot: string;
  /** Shown in the host's log. */
  clientName: string;
  settings: EngineSettings;
  log?: (line: string) => void;
  execPath?: string;
  env?: NodeJS.ProcessEnv;
}

export interface ConfigurableEngineClient extends EngineClient {
  /** Sends new settings; a host that is not running gets them when it starts. */
  updateSettings(settings: EngineSettings): Promise<void>;
}

const startTimeoutMs = 20_000;
const connectRetryMs = 40;
const restartAfterMs = 1_000;

/** Connects on the first request. */
export function createEngineClient(options: EngineClientOptions): ConfigurableEngineClient {
  return new HostClient(options);
}

class HostClient implements ConfigurableEngineClient {
  private readonly paths: Paths = enginePaths();
  private readonly backoff = new CrashBackoff();
  private readonly notified = new Map<string, Set<(value: never) => void>>();
  private readonly stateHandlers = new Set<(state: EngineState) => void>();
  private connecting: Promise<MessageConnection> | null = null;
  private connection: MessageConnection | null = null;
  private socket: Socket | null = null;
  private pending = 0;
  private current: EngineState = { kind: "stopped" };
  private settings: EngineSettings;
  private expectEnd = false;
  private disposed = false;

  constructor(private readonly options: EngineClientOptions) {
    this.settings = options.settings;
  }

  get state(): EngineState {
    return this.current;
  }

  get logFile(): string {
    return this.paths.logFile;
  }

  async request<M extends Method>(
    method: M,
    params: ParamsOf<M>,
    options: RequestOptions<M> = {},
  ): Promise<ResultOf<M>> {
    if (options.signal?.aborted) throw new EngineError("CANCELLED", "The request was cancelled before it was sent.");
    const connection = await this.connected();
    if (method === "engine/shutdown") {
      this.expectEnd = true;
      this.backoff.reset();
    }
    const socket = this.socket;
    // Only a request that waits for its answer keeps this process alive; an idle connection does not.
    if (this.pending++ === 0) socket?.ref();
    try {
      return await call(connection, method, params, { ...options, died: () => this.diedError() });
    } finally {
      if (--this.pending === 0) socket?.unref();
    }
  }

  async updateSettings(settings: EngineSettings): Promise<void> {
    this.settings = settings;
    if (this.connection) await this.request("engine/configure", settings);
  }

  on<N extends keyof EngineNotifications>(
    notification: N,
    handler: (value: EngineNotifications[N]) => void,
  ): Disposable {
    const handlers = this.notified.get(notification) ?? new Set();
    this.notified.set(notification, handlers);
    handlers.add(handler as (value: never) => void);
    return { dispose: () => handlers.delete(handler as (value: never) => void) };
  }

  onStateChanged(handler: (state: EngineState) => void): Disposable {
    this.stateHandlers.add(handler);
    return { dispose: () => this.stateHandlers.delete(handler) };
  }

  dispose(): void {
    this.disposed = true;
    this.expectEnd = true;
    this.connection?.dispose();
    this.socket?.destroy();
    this.stateHandlers.clear();
    this.notified.clear();
  }

  private connected(): Promise<MessageConnection> {
    if (this.disposed) throw new EngineError("CLOSED", "The engine client was closed.");
    if (this.connection) return Promise.resolve(this.connection);
    this.connecting ??= this.establish().finally(() => {
      this.connecting = null;
    });
    return this.connecting;
  }

  private async establish(): Promise<MessageConnection> {
    if (this.current.kind === "failed") {
      const waitMs = this.current.retryAt - Date.now();
      if (waitMs > 0) {
        throw new EngineError(
          "ENGINE_UNAVAILABLE",
          `${this.current.message} It is started again in ${String(Math.ceil(waitMs / 1000))} s at the earliest; the log is ${this.logFile}.`,
        );
      }
    }
    this.setState({ kind: "starting" });
    try {
      const socket = await this.reachHost();
      return await this.greet(socket);
    } catch (thrown) {
      const error = toEngineError(thrown);
      if (error.code === "ENGINE_UNAVAILABLE") this.failed(error.message);
      else this.setState({ kind: "stopped" });
      throw error;
    }
  }

  /** Connects to the host of this user, starting one when there is none. */
  private async reachHost(): Promise<Socket> {
    const running = await tryConnect(this.paths.endpoint);
    if (running) return running;
    ensureRuntimeDirectory(this.paths.runtime);
    const { extensionRoot, execPath = process.execPath, env = process.env } = this.options;
    const start = () => startHostProcess({ extensionRoot, execPath, env, logFile: this.logFile });
    let host = start();
    let startedAt = Date.now();
    this.options.log?.(`starting the engine host; its log is ${this.logFile}`);
    const deadline = Date.now() + startTimeoutMs;
    while (Date.now() < deadline) {
      await delay(connectRetryMs);
      const socket = await tryConnect(this.paths.endpoint);
      if (socket) return socket;
      if (!host.ended) continue;
      if (host.ended.code !== 0) {
        throw new EngineError(
          "ENGINE_UNAVAILABLE",
          `The engine host ended with ${host.ended.signal ?? `status ${String(host.ended.code)}`} before it answered. ${logTail(this.logFile, 3)}`,
        );
      }
      // Status 0: it found another host, which either answers soon or is just ending and leaves its place free.
      if (Date.now() - startedAt > restartAfterMs) {
        host = start();
        startedAt = Date.now();
      }
    }
    throw new EngineError(
      "ENGINE_UNAVAILABLE",
      `The engine host did not answer within ${String(startTimeoutMs / 1000)} s. ${logTail(this.logFile, 3)}`,
    );
  }

  private async greet(socket: Socket): Promise<MessageConnection> {
    const connection = connect(socket);
    const closed = () => {
      connection.dispose();
      this.lost(connection);
    };
    connection.onClose(closed);
    connection.onError(() => {
      socket.destroy();
    });
    socket.on("error", () => {
      socket.destroy();
    });
    for (const notification of ["engine/statusChanged", "models/changed"]) {
      connection.onNotification(notification, (value: unknown) => {
        for (const handler of this.notified.get(notification) ?? []) handler(value as never);
      });
    }
    connection.listen();
    const { clientName } = this.options;
    const sentSettings = this.settings;
    const greeting = {
      protocolVersion: PROTOCOL_VERSION,
      token: readFileSync(this.paths.tokenFile, "utf8"),
      client: { name: clientName, pid: process.pid },
      settings: sentSettings,
    };
    try {
      const { hostPid } = await call(connection, "initialize", greeting, { died: () => this.diedError() });
      this.connection = connection;
      this.socket = socket;
      this.expectEnd = false;
      socket.unref();
      if (this.disposed) {
        this.dispose();
        throw new EngineError("CLOSED", "The engine client was closed.");
      }
      this.setState({ kind: "running", hostPid });
      if (this.settings !== sentSettings) await this.updateSettings(this.settings);
      return connection;
    } catch (thrown) {
      socket.destroy();
      throw thrown;
    }
  }

  private lost(connection: MessageConnection): void {
    if (this.connection !== connection) return;
    this.connection = null;
    this.socket = null;
    if (this.expectEnd) {
      this.expectEnd = false;
      this.setState({ kind: "stopped" });
    } else {
      this.failed("The engine host died.");
    }
  }

  private failed(message: string): void {
    const now = Date.now();
    const retryAt = this.backoff.crashed(now);
    this.options.log?.(`${message}\n${logTail(this.logFile, 10)}`);
    if (retryAt > now) {
      this.setState({ kind: "failed", message: `The engine keeps crashing. ${message}`, retryAt });
    } else {
      this.setState({ kind: "stopped" });
    }
  }

  private diedError(): EngineError {
    return new EngineError(
      "ENGINE_DIED",
      `The engine ended while it worked on this request. The next request starts it again; the log is ${this.logFile}.`,
    );
  }

  private setState(state: EngineState): void {
    this.current = state;
    for (const handler of this.stateHandlers) handler(state);
  }
}

/** A connected socket, or null when nobody listens there. */
function tryConnect(endpoint: string): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = createConnection(endpoint);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", () => {
      resolve(null);
    });
  });
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
