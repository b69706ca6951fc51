import { randomBytes, timingSafeEqual } from "node:crypto";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import type { MessageConnection } from "vscode-jsonrpc/node";
import { EngineError } from "../../shared/errors";
import {
  PROTOCOL_VERSION,
  type EngineNotifications,
  type InitializeParams,
  type InitializeResult,
} from "../../shared/protocol";
import { tryProcessLock, type ProcessLock } from "../process_lock";
import { connect, notify, serve, type Handlers } from "../ipc/rpc";
import { ensureRuntimeDirectory, type Paths } from "../paths";
import { EngineService, checkSettings } from "./engine_service";

export interface EngineHostOptions {
  paths: Paths;
  extensionRoot: string;
  hostVersion: string;
  /** The host ends when it has had no client for so long. */
  graceMs: number;
  log: (line: string) => void;
  /** Called once, when everything is closed. */
  onEnd: () => void;
}

const lockCheckMs = 5_000;

/**
 * The engine host: one per user, shared by all windows. Holds the process lock, listens on the user's endpoint, lets
 * in who knows the token, and ends after its last client and a time of grace.
 */
export class EngineHost {
  private readonly service: EngineService;
  private readonly server: Server;
  private readonly connections = new Set<MessageConnection>();
  private readonly initialized = new Set<MessageConnection>();
  private readonly token = randomBytes(32).toString("hex");
  private graceTimer: NodeJS.Timeout | null = null;
  private readonly lockCheck: NodeJS.Timeout;
  private ending = false;

  /** Null when another host of this user is alive. */
  static async start(options: EngineHostOptions): Promise<EngineHost | null> {
    ensureRuntimeDirectory(options.paths.runtime);
    const lock = tryProcessLock(options.paths.lockFile);
    if (!lock) return null;
    const host = new EngineHost(options, lock);
    await host.listen();
    return host;
  }

  private constructor(
    private readonly options: EngineHostOptions,
    private readonly lock: ProcessLock,
  ) {
    const { extensionRoot, hostVersion, log } = options;
    this.service = new EngineService({
      extensionRoot,
      hostVersion,
      log,
      clients: () => this.initialized.size,
      onStatusChanged: (status) => {
        this.broadcast("engine/statusChanged", status);
      },
      onModelsChanged: (models) => {
        this.broadcast("models/changed", models);
      },
      onShutdown: () => {
        void this.end("a client asked for it");
      },
    });
    this.server = createServer((socket) => {
      this.accept(socket);
    });
    this.lockCheck = setInterval(() => {
      if (!lock.stillHeld() && this.connections.size === 0) void this.end("another host has taken over");
    }, lockCheckMs);
  }

  /** Closes connections, models and the endpoint. May be called more than once. */
  async end(reason: string): Promise<void> {
    if (this.ending) return;
    this.ending = true;
    this.options.log(`ending: ${reason}`);
    clearInterval(this.lockCheck);
    if (this.graceTimer) clearTimeout(this.graceTimer);
    this.server.close();
    for (const connection of this.connections) connection.end();
    await this.service.close();
    this.lock.dispose();
    this.options.onEnd();
  }

  private async listen(): Promise<void> {
    const { endpoint, tokenFile } = this.options.paths;
    writeFileSync(tokenFile, this.token, { mode: 0o600 });
    const isFile = process.platform !== "win32";
    // The lock is ours, so a socket that is still there belongs to a dead host.
    if (isFile) {
      mkdirSync(dirname(endpoint), { recursive: true, mode: 0o700 });
      rmSync(endpoint, { force: true });
    }
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(endpoint, resolve);
    });
    if (isFile) chmodSync(endpoint, 0o600);
    this.options.log(`listening on ${endpoint}`);
    this.awaitClients();
  }

  private accept(socket: Socket): void {
    const connection = connect(socket);
    this.connections.add(connection);
    if (this.graceTimer) clearTimeout(this.graceTimer);
    this.graceTimer = null;
    const forget = () => {
      if (!this.connections.delete(connection)) return;
      this.initialized.delete(connection);
      connection.dispose();
      if (this.connections.size === 0) this.awaitClients();
    };
    connection.onClose(forget);
    connection.onError(() => {
      socket.destroy();
    });
    socket.on("error", () => {
      socket.destroy();
    });
    socket.on("close", forget);
    serve(connection, this.guarded(connection));
    connection.listen();
  }

  /** The service's methods, refused before a valid `initialize`. */
  private guarded(connection: MessageConnection): Handlers {
    const handlers: Record<string, (params: never, context: never) => Promise<unknown>> = this.service.handlers();
    const guarded: Record<string, unknown> = {
      initialize: (params: InitializeParams) => this.initialize(connection, params),
    };
    for (const [method, handler] of Object.entries(handlers)) {
      guarded[method] = (params: never, context: never) => {
        if (this.initialized.has(connection)) return handler(params, context);
        throw new EngineError("UNAUTHORIZED", `Expected initialize as the first request, got ${method}.`);
      };
    }
    return guarded as unknown as Handlers;
  }

  private async initialize(connection: MessageConnection, params: InitializeParams): Promise<InitializeResult> {
    if (!sameSecret(params.token, this.token)) {
      throw new EngineError("UNAUTHORIZED", "The token does not belong to this engine host.");
    }
    if (params.protocolVersion !== PROTOCOL_VERSION) {
      throw new EngineError(
        "PROTOCOL_MISMATCH",
        `The engine host speaks protocol ${String(PROTOCOL_VERSION)}, the client ${String(params.protocolVersion)}. Reload all windows so that they use the same version of NMOS.`,
      );
    }
    if (params.settings) await this.service.configure(checkSettings(params.settings));
    this.initialized.add(connection);
    this.options.log(`client ${params.client.name} (process ${String(params.client.pid)}) connected`);
    return {
      protocolVersion: PROTOCOL_VERSION,
      hostVersion: this.options.hostVersion,
      hostPid: process.pid,
      logFile: this.options.paths.logFile,
    };
  }

  private broadcast<N extends keyof EngineNotifications>(notification: N, value: EngineNotifications[N]): void {
    for (const connection of this.initialized) notify(connection, notification, value);
  }

  private awaitClients(): void {
    if (this.ending) return;
    this.graceTimer = setTimeout(() => {
      void this.end(`no client for ${String(this.options.graceMs)} ms`);
    }, this.options.graceMs);
  }
}

function sameSecret(given: unknown, expected: string): boolean {
  if (typeof given !== "string" || given.length !== expected.length) return false;
  return timingSafeEqual(Buffer.from(given), Buffer.from(expected));
}
