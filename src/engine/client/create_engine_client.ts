import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { MessageConnection } from "vscode-jsonrpc/node";
import { version as ownVersion } from "../../../package.json";
import type { Disposable } from "../../shared/disposable";
import type { EngineSettings } from "../../shared/engine_settings";
import { EngineError, toEngineError } from "../../shared/errors";
import type { InitializeResult } from "../../shared/introduction";
import {
  NOTIFICATIONS,
  PROTOCOL_VERSION,
  type EngineNotifications,
  type Method,
  type ParamsOf,
  type ProgressOf,
  type ResultOf,
} from "../../shared/protocol";
import { compareVersions } from "../compare_versions";
import { isProof, newNonce, proofOf } from "../ipc/mutual_proof";
import { call, connect } from "../ipc/rpc";
import { enginePaths, thisMachine, type Paths } from "../paths";
import { ensurePrivatePlace } from "../private_directory";
import { lockHolder } from "../process_lock";
import { unlessAborted } from "../unless_aborted";
import { AwakeClock } from "../awake_clock";
import { CrashBackoff, longestWaitMs } from "./crash_backoff";
import type { EngineClient, EngineState, RequestOptions } from "./engine_client";
import { logTail } from "./host_process";
import { longestStepMs, reachHost } from "./reach_host";

export interface EngineClientOptions {
  /** Folder with `dist/engine_host.cjs` and `prebuilds/`. */
  extensionRoot: string;
  /** Shown in the host's log. */
  clientName: string;
  /** What is not given is left to the other clients of the host. */
  settings: Partial<EngineSettings>;
  log?: (line: string) => void;
  /** Other windows use a host of another version of NMOS, which therefore stays. Called once, with what to do. */
  onOtherVersion?: (message: string) => void;
  /** Of NMOS. Default: that of this code. */
  version?: string;
  execPath?: string;
  /** Environment of the host; `NMOS_HOME` in it is where this client looks for one, too. */
  env?: NodeJS.ProcessEnv;
}

export interface ConfigurableEngineClient extends EngineClient {
  /** Sends new settings; a host that is not running gets them when it starts. */
  updateSettings(settings: Partial<EngineSettings>): Promise<void>;
}

/** A host that accepts the connection but says nothing for so long is taken for hung. */
const greetingMs = 15_000;

/** How long a host may take to end before it is killed, and to be gone after that. */
const goodbyeMs = 5_000;
const killedMs = 5_000;
const gonePollMs = 20;

/** Connects on the first request. */
export function createEngineClient(options: EngineClientOptions): ConfigurableEngineClient {
  return new HostClient(options);
}

/** A greeted connection. */
interface Link {
  connection: MessageConnection;
  socket: Socket;
  /** Requests without an answer: only they keep this process alive; an idle connection does not. */
  pending: number;
  /** The host has said that it ends, and not because this client asked for it. */
  announcedEnd: boolean;
}

class HostClient implements ConfigurableEngineClient {
  private readonly paths: Paths;
  private readonly backoff = new CrashBackoff();
  private readonly notified = new Map<string, Set<(value: never) => void>>();
  private readonly stateHandlers = new Set<(state: EngineState) => void>();
  private connecting: Promise<Link> | null = null;
  private link: Link | null = null;
  private current: EngineState = { kind: "stopped" };
  private settings: Partial<EngineSettings>;
  /** The host ends on purpose, so that the end of the connection is no crash. */
  private expectEnd = false;
  private disposed = false;
  /** A host of another version was ended. Once: what is started instead is what there is. */
  private hasReplaced = false;
  private hasToldVersion = false;

  constructor(private readonly options: EngineClientOptions) {
    this.settings = options.settings;
    this.paths = enginePaths(thisMachine(options.env ?? process.env));
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
    const link = await unlessAborted(options.signal, () => this.connected());
    let streamed = 0;
    const onProgress =
      options.onProgress &&
      ((value: ProgressOf<M>) => {
        streamed += 1;
        options.onProgress?.(value);
      });
    if (link.pending++ === 0) link.socket.ref();
    try {
      return await call(link.connection, method, params, { ...options, onProgress, died: () => this.diedError() });
    } catch (thrown) {
      // Another window has ended the host on purpose, perhaps while this request was on its way: ask the next host.
      if (!link.announcedEnd || streamed > 0 || toEngineError(thrown).code !== "ENGINE_DIED") throw thrown;
    } finally {
      if (--link.pending === 0) link.socket.unref();
    }
    return this.request(method, params, options);
  }

  async updateSettings(settings: Partial<EngineSettings>): Promise<void> {
    this.settings = settings;
    if (this.link) await this.request("engine/configure", settings);
  }

  async endHost(): Promise<boolean> {
    this.backoff.reset();
    if (this.current.kind === "failed") this.setState({ kind: "stopped" });
    // Before the process that the lock names is asked to end or killed.
    ensurePrivatePlace(this.paths);
    const pid = lockHolder(this.paths.lockFile);
    if (pid === null) return false;
    this.expectEnd = true;
    const { link } = this;
    // From now on requests of this window go to the next host.
    if (link) this.lost(link);
    const controller = new AbortController();
    const asked = link
      ? call(link.connection, "engine/shutdown", null, { died: () => this.diedError() })
      : this.request("engine/shutdown", null, { signal: controller.signal });
    // Whether it answers or not: what counts is that its process goes.
    asked.catch(() => undefined);
    if (!(await this.leaves(pid, goodbyeMs))) {
      controller.abort();
      await this.kill(pid);
    }
    return true;
  }

  on<N extends keyof EngineNotifications>(
    notification: N,
    handler: (value: EngineNotifications[N]) => void,
  ): Disposable {
    const handlers = this.notified.get(notification) ?? new Set();
    this.notified.set(notification, handlers);
    handlers.add(handler);
    return { dispose: () => handlers.delete(handler) };
  }

  onStateChanged(handler: (state: EngineState) => void): Disposable {
    this.stateHandlers.add(handler);
    return { dispose: () => this.stateHandlers.delete(handler) };
  }

  dispose(): void {
    this.disposed = true;
    this.expectEnd = true;
    this.link?.connection.dispose();
    this.link?.socket.destroy();
    this.stateHandlers.clear();
    this.notified.clear();
  }

  private connected(): Promise<Link> {
    if (this.disposed) throw new EngineError("CLOSED", "The engine client was closed.");
    if (this.link) return Promise.resolve(this.link);
    this.connecting ??= this.establish().finally(() => {
      this.connecting = null;
    });
    return this.connecting;
  }

  private async establish(): Promise<Link> {
    for (let deaths = 0; ;) {
      this.refuseDuringBackoff();
      this.setState({ kind: "starting" });
      try {
        return await this.greet(await this.reach());
      } catch (thrown) {
        const error = toEngineError(thrown);
        if (this.disposed) throw error;
        // The host that was found is just ending, or was dying already when it took the connection.
        if (error.code === "CLOSED" || (error.code === "ENGINE_DIED" && deaths++ === 0)) continue;
        if (error.code === "ENGINE_UNAVAILABLE" || error.code === "ENGINE_DIED") this.failed(error.message);
        else this.setState({ kind: "stopped" });
        throw error;
      }
    }
  }

  private refuseDuringBackoff(): void {
    if (this.current.kind !== "failed") return;
    const waitMs = this.current.retryAt - Date.now();
    // A clock that was set back would make it wait for hours.
    if (waitMs <= 0 || waitMs > longestWaitMs) return;
    throw new EngineError(
      "ENGINE_UNAVAILABLE",
      `${this.current.message} It is started again in ${String(Math.ceil(waitMs / 1000))} s at the earliest; the log is ${this.logFile}.`,
    );
  }

  private reach(): Promise<Socket> {
    const { extensionRoot, execPath = process.execPath, env = process.env } = this.options;
    const { logFile, runtime: directory } = this.paths;
    return reachHost(this.paths, { extensionRoot, execPath, env, logFile, directory });
  }

  private async greet(socket: Socket): Promise<Link> {
    const connection = connect(socket);
    const link: Link = { connection, socket, pending: 0, announcedEnd: false };
    connection.onClose(() => {
      this.lost(link);
    });
    connection.onError(() => {
      socket.destroy();
    });
    socket.on("error", () => {
      socket.destroy();
    });
    connection.listen();
    const hung = setTimeout(() => {
      socket.destroy();
    }, greetingMs);
    const sentSettings = this.settings;
    try {
      const proof = await this.meet(connection);
      // Nothing is believed before, either.
      this.forwardNotifications(link);
      const client = { name: this.options.clientName, pid: process.pid };
      const { hostPid, hostVersion, clients } = await call(
        connection,
        "initialize",
        { proof, client, settings: sentSettings },
        { died: () => this.diedError() },
      );
      if (link.announcedEnd) throw new EngineError("CLOSED", "The engine host is ending.");
      if (hostVersion !== this.version) await this.meetOtherVersion(connection, { hostPid, hostVersion, clients });
      this.link = link;
      this.expectEnd = false;
      socket.unref();
      if (this.disposed) {
        this.dispose();
        throw new EngineError("CLOSED", "The engine client was closed.");
      }
      this.setState({ kind: "running", hostPid });
      if (this.settings !== sentSettings) await this.updateSettings(this.settings);
      return link;
    } catch (thrown) {
      socket.destroy();
      throw thrown;
    } finally {
      clearTimeout(hung);
    }
  }

  /** Lets whoever listens prove that it is this user's host. Resolves with the proof that this client is the user's, too. */
  private async meet(connection: MessageConnection): Promise<string> {
    const client = newNonce();
    const hello = { protocolVersion: PROTOCOL_VERSION, nonce: client };
    const answer = await call(connection, "hello", hello, { died: () => this.diedError() });
    const nonces = { host: answer.nonce, client };
    const { endpoint, tokenFile } = this.paths;
    const token = tokenIn(tokenFile);
    if (token === "") {
      throw new EngineError(
        "UNAUTHORIZED",
        `The token in ${tokenFile} is missing or cannot be read, so nothing that answers on ${endpoint} can be believed. A running engine writes it again within seconds: try again.`,
      );
    }
    if (isProof(answer.proof, "host", token, nonces)) return proofOf("client", token, nonces);
    throw new EngineError(
      "UNAUTHORIZED",
      `Another program has taken ${endpoint}, the place of the engine host: it does not know the token in ${tokenFile}. It was told nothing. End that program, or set NMOS_HOME to a folder of your own.`,
    );
  }

  /**
   * After an update the host of the version before may still be there, with its native code and its catalogues. Where nobody
   * else uses it, it ends, and this throws `CLOSED`, so that another one is reached; else it stays until the windows are reloaded.
   */
  private async meetOtherVersion(
    connection: MessageConnection,
    { hostPid, hostVersion, clients }: Pick<InitializeResult, "hostPid" | "hostVersion" | "clients">,
  ): Promise<void> {
    if (clients === 1 && !this.hasReplaced) {
      this.hasReplaced = true;
      this.options.log?.(`the engine host of NMOS ${hostVersion} ends for that of ${this.version}`);
      const asked = call(connection, "engine/shutdown", null, { died: () => this.diedError() });
      // Whether it answers or not: what counts is that its process goes.
      asked.catch(() => undefined);
      if (!(await this.leaves(hostPid, goodbyeMs))) await this.kill(hostPid);
      throw new EngineError("CLOSED", `The engine host of NMOS ${hostVersion} has ended.`);
    }
    if (this.hasToldVersion) return;
    this.hasToldVersion = true;
    const newer = compareVersions(hostVersion, this.version) > 0 ? hostVersion : this.version;
    const message = `The engine of NMOS ${hostVersion} serves this window of NMOS ${this.version}. Reload all windows of VS Code, so that NMOS ${newer} runs.`;
    this.options.log?.(message);
    this.options.onOtherVersion?.(message);
  }

  private forwardNotifications(link: Link): void {
    for (const notification of NOTIFICATIONS) {
      link.connection.onNotification(notification, (value: unknown) => {
        if (notification === "engine/ending") this.leave(link, value as EngineNotifications["engine/ending"]);
        for (const handler of this.notified.get(notification) ?? []) handler(value as never);
      });
    }
  }

  /** The host ends on purpose: what it still answers comes over the old connection, new requests go to a new host. */
  private leave(link: Link, { reason, isFailure }: EngineNotifications["engine/ending"]): void {
    // Perhaps together with the answer to the greeting, before that was read.
    link.announcedEnd = true;
    if (this.link !== link) return;
    this.expectEnd = true;
    this.lost(link);
    // It would fail again and again, so that it counts as a crash.
    if (isFailure) this.failed(reason);
  }

  private lost(link: Link): void {
    if (this.link !== link) return;
    this.link = null;
    if (this.expectEnd) this.setState({ kind: "stopped" });
    else this.failed("The engine host died.");
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
    const what = this.expectEnd ? "was stopped" : "ended";
    return new EngineError(
      "ENGINE_DIED",
      `The engine ${what} while it worked on this request. The next request starts it again; the log is ${this.logFile}.`,
    );
  }

  private async kill(pid: number): Promise<void> {
    this.options.log?.(`the engine host (process ${String(pid)}) does not end and is killed`);
    killIfThere(pid);
    if (await this.leaves(pid, killedMs)) return;
    throw new EngineError("ENGINE_UNAVAILABLE", `The engine host (process ${String(pid)}) cannot be ended.`);
  }

  private get version(): string {
    return this.options.version ?? ownVersion;
  }

  /** Whether this process has given the host's place up after at most so long. */
  private async leaves(pid: number, patienceMs: number): Promise<boolean> {
    const clock = new AwakeClock(Date.now, longestStepMs);
    while (lockHolder(this.paths.lockFile) === pid) {
      if (clock.now() > patienceMs) return false;
      await delay(gonePollMs);
    }
    return true;
  }

  private setState(state: EngineState): void {
    this.current = state;
    for (const handler of this.stateHandlers) handler(state);
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown;
  }
}

/** Empty: there is none. Where there is no host, there may be no token either, and one that everybody can guess proves nothing. */
function tokenIn(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
