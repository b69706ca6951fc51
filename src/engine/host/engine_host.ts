import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { MessageConnection } from "vscode-jsonrpc/node";
import { EngineError } from "../../shared/errors";
import type { HelloParams, HelloResult, InitializeParams, InitializeResult } from "../../shared/introduction";
import { PROTOCOL_VERSION, type EngineNotifications, type Introduction, type Method } from "../../shared/protocol";
import { isNonce, isProof, newNonce, proofOf, type Nonces } from "../ipc/mutual_proof";
import { connect, notify, serve, type Handler, type Handlers } from "../ipc/rpc";
import { loadAddon } from "../native/load_addon";
import type { Paths } from "../paths";
import { ensurePrivatePlace } from "../private_directory";
import { tryProcessLock, type ProcessLock } from "../process_lock";
import { Endpoint, answers } from "./endpoint";
import { EngineService } from "./engine_service";

export interface EngineHostOptions {
  paths: Paths;
  extensionRoot: string;
  hostVersion: string;
  /** The host ends when it has had no client for so long. */
  graceMs: number;
  log: (line: string) => void;
  /** Called when a client has proved itself, before any of its requests is served. */
  onClient: () => void;
  /**
   * Called once, when nothing is left to be done. `isClosed`: the native engine is closed; else it hangs, in a driver or in a
   * driver's compiler, and an ordinary exit would wait for its threads.
   */
  onEnd: (isClosed: boolean) => void;
}

/** How often the host looks whether its lock, its token and its socket are still there. */
const placeCheckMs = 5_000;

/** A connection that has not introduced itself after this time is closed, so that it does not keep the host alive. */
const introductionMs = 10_000;

/** How long the last words to a client may take. */
const goodbyeMs = 500;

/** After this time a native engine that closes is taken for hung. */
const longestCloseMs = 10_000;

/**
 * The engine host: one per user, shared by all windows. Holds the process lock, listens on the user's endpoint, proves to its
 * clients that it knows the user's token, lets in who knows it, too, and ends after its last client and a time of grace.
 */
export class EngineHost {
  private readonly service: EngineService;
  private readonly endpoint: Endpoint;
  private readonly connections = new Set<MessageConnection>();
  /** Of the connections that have said hello, used up by the proof that follows. */
  private readonly greeted = new WeakMap<MessageConnection, Nonces>();
  /** With the id of the client's process, as it says itself. */
  private readonly initialized = new Map<MessageConnection, number>();
  private readonly token = randomBytes(32).toString("hex");
  private readonly placeCheck: NodeJS.Timeout;
  private graceTimer: NodeJS.Timeout | null = null;
  private ending = false;

  /** Null when another host of this user is alive. */
  static async start(options: EngineHostOptions): Promise<EngineHost | null> {
    const { lockFile, endpoint } = options.paths;
    ensurePrivatePlace(options.paths);
    const lock = tryProcessLock(lockFile);
    if (!lock) return null;
    // Somebody may have deleted the lock of a living host: who answers on the endpoint is the host.
    if (await answers(endpoint)) {
      lock.dispose();
      return null;
    }
    const host = new EngineHost(options, lock);
    await host.endpoint.open();
    host.awaitClients();
    return host;
  }

  private constructor(
    private readonly options: EngineHostOptions,
    private lock: ProcessLock,
  ) {
    const { paths, extensionRoot, hostVersion, log } = options;
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
      onDeviceFailed: (message) => {
        void this.end(message, { isFailure: true });
      },
    });
    this.endpoint = new Endpoint({
      paths,
      token: this.token,
      log,
      onClient: (socket) => {
        this.accept(socket);
      },
      keepPipeToUser: (name) => loadAddon(extensionRoot).addon.keepPipeToUser({ name }),
    });
    this.placeCheck = setInterval(() => {
      this.keepPlace().catch((thrown: unknown) => {
        log(`cannot restore the endpoint: ${String(thrown)}`);
      });
    }, placeCheckMs);
  }

  /** Closes connections, models and the endpoint. May be called more than once. */
  async end(reason: string, { isFailure = false } = {}): Promise<void> {
    if (this.ending) return;
    this.ending = true;
    this.options.log(`ending: ${reason}`);
    clearInterval(this.placeCheck);
    if (this.graceTimer) clearTimeout(this.graceTimer);
    if (this.lock.stillHeld()) this.endpoint.close();
    // Answers that are on their way leave before this notification, because a connection writes in order.
    const told = [...this.initialized.keys()].map((connection) =>
      notify(connection, "engine/ending", { reason, isFailure }),
    );
    await Promise.race([Promise.all(told), delay(goodbyeMs)]);
    for (const connection of this.connections) connection.end();
    const closed = this.service.close({ isFailure }).then(() => true);
    // Who writes to a process that has gone never reads what it said last.
    const [isClosed] = await Promise.all([
      Promise.race([closed, delay(longestCloseMs, false)]),
      Promise.race([this.clientsGone(), delay(goodbyeMs)]),
    ]);
    // A host that hangs keeps its lock, so that the next one begins only when its process has given the card's memory back.
    if (isClosed) this.lock.dispose();
    else this.options.log(`the native engine is not closed after ${String(longestCloseMs / 1000)} s`);
    this.options.onEnd(isClosed);
  }

  /** Ids of the processes that are served now. */
  clientProcesses(): number[] {
    return [...this.initialized.values()].filter((pid) => Number.isInteger(pid) && pid > 0);
  }

  private async clientsGone(): Promise<void> {
    const closed = [...this.connections].map(
      (connection) =>
        new Promise<void>((resolve) => {
          connection.onClose(() => {
            resolve();
          });
        }),
    );
    await Promise.all(closed);
  }

  /** Programs that tidy temporary folders may remove what makes this host reachable; puts it back. */
  private async keepPlace(): Promise<void> {
    if (!this.lock.stillHeld()) {
      const again = tryProcessLock(this.options.paths.lockFile);
      if (!again) {
        // Another host has taken the place; this one still serves the clients it has.
        if (this.connections.size === 0) await this.end("another host has taken over");
        return;
      }
      this.lock = again;
    }
    if (!this.ending) await this.endpoint.restore();
  }

  private accept(socket: Socket): void {
    const connection = connect(socket);
    this.connections.add(connection);
    if (this.graceTimer) clearTimeout(this.graceTimer);
    this.graceTimer = null;
    const introduction = setTimeout(() => {
      if (!this.initialized.has(connection)) socket.destroy();
    }, introductionMs);
    const forget = () => {
      clearTimeout(introduction);
      if (!this.connections.delete(connection)) return;
      if (this.initialized.delete(connection)) this.service.announceStatus();
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
    serve(connection, this.handlersFor(connection));
    connection.listen();
  }

  /** The service's methods, refused before a valid introduction. */
  private handlersFor(connection: MessageConnection): Handlers {
    const handlers = this.service.handlers();
    for (const method of Object.keys(handlers) as Exclude<Method, Introduction>[]) {
      this.guard(handlers, method, connection);
    }
    return {
      ...handlers,
      hello: (params) => Promise.resolve().then(() => this.hello(connection, params)),
      initialize: (params) => this.initialize(connection, params),
    };
  }

  private guard<M extends Exclude<Method, Introduction>>(
    handlers: { [N in M]: Handler<N> },
    method: M,
    connection: MessageConnection,
  ): void {
    const handler = handlers[method];
    handlers[method] = (params, context) => {
      if (this.initialized.has(connection)) return handler(params, context);
      return Promise.reject(
        new EngineError("UNAUTHORIZED", `Expected hello and initialize as the first requests, got ${method}.`),
      );
    };
  }

  /** The host proves itself first: a client tells nothing to a stranger that has taken the name of the endpoint. */
  private hello(connection: MessageConnection, { protocolVersion, nonce }: HelloParams): HelloResult {
    if (protocolVersion !== PROTOCOL_VERSION) {
      throw new EngineError(
        "PROTOCOL_MISMATCH",
        `The engine host speaks protocol ${String(PROTOCOL_VERSION)}, the client ${String(protocolVersion)}. Reload all windows so that they use the same version of NMOS.`,
      );
    }
    if (!isNonce(nonce)) throw new EngineError("UNAUTHORIZED", "Expected a nonce of 64 hexadecimal digits.");
    const nonces = { host: newNonce(), client: nonce };
    this.greeted.set(connection, nonces);
    return { nonce: nonces.host, proof: proofOf("host", this.token, nonces) };
  }

  private async initialize(connection: MessageConnection, params: InitializeParams): Promise<InitializeResult> {
    const nonces = this.greeted.get(connection);
    this.greeted.delete(connection);
    if (!nonces) {
      throw new EngineError(
        "UNAUTHORIZED",
        "Expected hello before initialize. Reload all windows so that they use the same version of NMOS.",
      );
    }
    if (!isProof(params.proof, "client", this.token, nonces)) {
      throw new EngineError("UNAUTHORIZED", "The client does not know the token of this engine host.");
    }
    if (this.ending) throw new EngineError("CLOSED", "The engine host is ending.");
    if (params.settings) await this.service.configure(params.settings);
    this.initialized.set(connection, params.client.pid);
    this.options.onClient();
    this.options.log(`client ${params.client.name} (process ${String(params.client.pid)}) connected`);
    this.service.announceStatus();
    return {
      protocolVersion: PROTOCOL_VERSION,
      hostVersion: this.options.hostVersion,
      hostPid: process.pid,
      logFile: this.options.paths.logFile,
      clients: this.initialized.size,
    };
  }

  private broadcast<N extends keyof EngineNotifications>(notification: N, value: EngineNotifications[N]): void {
    for (const connection of this.initialized.keys()) void notify(connection, notification, value);
  }

  private awaitClients(): void {
    if (this.ending || this.graceTimer) return;
    this.graceTimer = setTimeout(() => {
      void this.end(`no client for ${String(this.options.graceMs)} ms`);
    }, this.options.graceMs);
  }
}
