import { chmodSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { Paths } from "../paths";

export interface EndpointOptions {
  paths: Paths;
  token: string;
  log: (line: string) => void;
  onClient: (socket: Socket) => void;
  /** Lets nobody but this user connect to the named pipe of this name; returns its access list then. May throw. */
  keepPipeToUser: (name: string) => string;
}

/**
 * The place where clients find the host: a unix socket or named pipe, and the file with the token. Only the holder of
 * the process lock may own one.
 */
export class Endpoint {
  private server: Server | null = null;
  private closed = false;
  private isKept = false;
  /** Why it is not; told once. */
  private objection = "";

  constructor(private readonly options: EndpointOptions) {}

  /** Rejects when the endpoint cannot be created; on Windows also when another process has it. */
  async open(): Promise<void> {
    this.writeToken();
    const { paths, log, onClient } = this.options;
    const { endpoint, socketDirectory } = paths;
    // The lock is held and nobody answered, so a socket that is still there belongs to a dead host.
    if (socketDirectory !== null) rmSync(endpoint, { force: true });
    const server = createServer(onClient);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(endpoint, () => {
        server.removeListener("error", reject);
        resolve();
      });
    });
    server.on("error", (error) => {
      log(`the endpoint reports: ${error.message}`);
    });
    this.server = server;
    if (socketDirectory !== null) chmodSync(endpoint, 0o600);
    log(`listening on ${endpoint}`);
    // Before the first client is served.
    this.keep();
  }

  /** Creates again what was deleted, which a named pipe cannot be; closes one to others that is still open to them. */
  async restore(): Promise<void> {
    const { endpoint, socketDirectory, tokenFile } = this.options.paths;
    if (!existsSync(tokenFile)) this.writeToken();
    this.keep();
    if (socketDirectory === null || existsSync(endpoint)) return;
    this.options.log("the socket was deleted");
    this.server?.close();
    await this.open();
    if (this.closed) this.close();
  }

  /** Takes no more clients; those that are connected stay. */
  close(): void {
    this.closed = true;
    this.server?.close();
    this.server = null;
  }

  /** A pipe that others may connect to tells them nothing, so one that cannot be closed to them now is no obstacle. */
  private keep(): void {
    const { paths, log, keepPipeToUser } = this.options;
    if (paths.socketDirectory !== null || this.isKept) return;
    try {
      log(`only this user may connect: ${keepPipeToUser(paths.endpoint)}`);
      this.isKept = true;
    } catch (thrown) {
      const objection = String(thrown);
      if (objection !== this.objection) log(`others may still connect: ${objection}`);
      this.objection = objection;
    }
  }

  private writeToken(): void {
    const { paths, token } = this.options;
    // A new file, so that neither the mode nor an open handle of an old one counts.
    rmSync(paths.tokenFile, { force: true });
    writeFileSync(paths.tokenFile, token, { mode: 0o600, flag: "wx" });
  }
}

/** Whether a process listens on this endpoint. */
export function answers(endpoint: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(endpoint);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => {
      resolve(false);
    });
  });
}
