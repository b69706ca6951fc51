import { chmodSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { Paths } from "../paths";

/**
 * The place where clients find the host: a unix socket or named pipe, and the file with the token. Only the holder of
 * the process lock may own one.
 */
export class Endpoint {
  private server: Server | null = null;
  private closed = false;

  constructor(
    private readonly paths: Paths,
    private readonly token: string,
    private readonly log: (line: string) => void,
    private readonly onClient: (socket: Socket) => void,
  ) {}

  /** Rejects when the endpoint cannot be created; on Windows also when another process has it. */
  async open(): Promise<void> {
    this.writeToken();
    const { endpoint, socketDirectory } = this.paths;
    // The lock is held and nobody answered, so a socket that is still there belongs to a dead host.
    if (socketDirectory !== null) rmSync(endpoint, { force: true });
    const server = createServer(this.onClient);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(endpoint, () => {
        server.removeListener("error", reject);
        resolve();
      });
    });
    server.on("error", (error) => {
      this.log(`the endpoint reports: ${error.message}`);
    });
    this.server = server;
    if (socketDirectory !== null) chmodSync(endpoint, 0o600);
    this.log(`listening on ${endpoint}`);
  }

  /** Creates again what was deleted. A named pipe cannot be. */
  async restore(): Promise<void> {
    const { endpoint, socketDirectory, tokenFile } = this.paths;
    if (!existsSync(tokenFile)) this.writeToken();
    if (socketDirectory === null || existsSync(endpoint)) return;
    this.log("the socket was deleted");
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

  private writeToken(): void {
    // A new file, so that neither the mode nor an open handle of an old one counts.
    rmSync(this.paths.tokenFile, { force: true });
    writeFileSync(this.paths.tokenFile, this.token, { mode: 0o600, flag: "wx" });
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
