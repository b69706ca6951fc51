import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { connect } from "node:net";

/** What a test's server saw of one request. */
export interface SeenRequest {
  path: string;
  range: string | null;
  ifRange: string | null;
}

export interface Answer {
  request: IncomingMessage;
  response: ServerResponse;
  /** First byte the client asked for. */
  from: number;
}

/** How one request is answered; the last of a script's answers is used for all that follow. */
export type Behaviour = (answer: Answer) => void;

export interface FileServer {
  url: string;
  seen: SeenRequest[];
  close: () => Promise<void>;
}

/** A real HTTP server on this machine that answers the n-th request with the n-th behaviour. */
export async function startFileServer(script: readonly Behaviour[]): Promise<FileServer> {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    const range = request.headers.range ?? null;
    const ifRange = request.headers["if-range"];
    seen.push({ path: request.url ?? "", range, ifRange: typeof ifRange === "string" ? ifRange : null });
    const behave = script[Math.min(seen.length, script.length) - 1];
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    behave?.({ request, response, from });
  });
  const url = await listen(server);
  return { url, seen, close: () => stop(server) };
}

export interface Proxy {
  url: string;
  /** Hosts that connections were made to. */
  hosts: string[];
  close: () => Promise<void>;
}

/** A proxy that forwards by CONNECT, as for https, and by absolute address. */
export async function startProxy(status = 200): Promise<Proxy> {
  const hosts: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((_, response) => response.writeHead(501).end());
  server.on("connect", (request, client: Socket) => {
    hosts.push(request.url ?? "");
    if (status !== 200) {
      client.end(`HTTP/1.1 ${String(status)} Refused\r\n\r\n`);
      return;
    }
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const upstream = connect(Number(port), host, () => {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      upstream.pipe(client).pipe(upstream);
    });
    for (const socket of [upstream, client]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
    }
  });
  const url = await listen(server);
  return {
    url,
    hosts,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await stop(server);
    },
  };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

async function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

/** Behaviours of good and bad servers of one file. */
export function behavioursOf(bytes: Buffer) {
  const total = String(bytes.length);
  const head = ({ response, from }: Answer, etag: string) => {
    const partial = from > 0;
    response.writeHead(partial ? 206 : 200, {
      etag,
      "content-length": bytes.length - from,
      ...(partial && { "content-range": `bytes ${String(from)}-${String(bytes.length - 1)}/${total}` }),
    });
  };
  const good =
    (etag = '"one"'): Behaviour =>
    (answer) => {
      const changed = answer.request.headers["if-range"] !== undefined && answer.request.headers["if-range"] !== etag;
      const asked = changed ? { ...answer, from: 0 } : answer;
      head(asked, etag);
      answer.response.end(bytes.subarray(asked.from));
    };
  return {
    good,
    /** Sends so many bytes and closes the connection; a client loses at most what its buffer holds (64 KiB). */
    breakAfter:
      (count: number, etag = '"one"'): Behaviour =>
      (answer) => {
        head(answer, etag);
        answer.response.write(bytes.subarray(answer.from, answer.from + count), () => answer.response.socket?.end());
      },
    /** Sends so many bytes and then nothing, with the connection open. */
    stallAfter:
      (count: number): Behaviour =>
      (answer) => {
        head(answer, '"one"');
        answer.response.write(bytes.subarray(answer.from, answer.from + count));
      },
    /** Sends the file in many small pieces. */
    inPieces:
      (size: number): Behaviour =>
      (answer) => {
        head(answer, '"one"');
        let at = answer.from;
        const next = () => {
          if (answer.response.destroyed) return;
          answer.response.write(bytes.subarray(at, (at += size)));
          if (at < bytes.length) setImmediate(next);
          else answer.response.end();
        };
        next();
      },
    /** Ignores the range and sends everything. */
    wholeFile: (({ response }) => {
      response.writeHead(200, { "content-length": total }).end(bytes);
    }) satisfies Behaviour,
    /** Ignores the range, sends everything from the beginning and breaks there. */
    wholeFileBreakingAfter:
      (count: number): Behaviour =>
      ({ response }) => {
        response.writeHead(200, { "content-length": total });
        response.write(bytes.subarray(0, count), () => response.socket?.end());
      },
    /** Sends bytes from elsewhere than was asked, and says so. */
    rangeFrom:
      (start: number): Behaviour =>
      ({ response }) => {
        const range = `bytes ${String(start)}-${String(bytes.length - 1)}/${total}`;
        response.writeHead(206, { "content-range": range }).end(bytes.subarray(start));
      },
    /** Sends the asked range of another version, whatever If-Range says. */
    rangeOfVersion:
      (etag: string): Behaviour =>
      (answer) => {
        head(answer, etag);
        answer.response.end(bytes.subarray(answer.from));
      },
    /** Sends the file without saying how long it is. */
    withoutLength:
      (content: Buffer): Behaviour =>
      ({ response }) => {
        response.write(content);
        response.end();
      },
    /** Sends something else with a length of its own. */
    other:
      (content: Buffer): Behaviour =>
      ({ response }) => {
        response.writeHead(200, { "content-length": content.length }).end(content);
      },
    status:
      (status: number, headers: Record<string, string> = {}): Behaviour =>
      ({ response }) => {
        response.writeHead(status, headers).end("a page that explains");
      },
    redirect:
      (location: string, status = 302): Behaviour =>
      ({ response }) => {
        response.writeHead(status, { location }).end();
      },
  };
}
