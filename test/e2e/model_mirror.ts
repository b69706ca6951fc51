import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";

export interface ModelMirror {
  /** For nmos.download.mirror. */
  url: string;
  close: () => Promise<void>;
}

export interface ModelMirrorOptions {
  /** Of each answer; as fast as it can without one. */
  bytesPerSecond?: number;
}

/** A company's mirror as the setting has it: offers the model files of a folder, whatever path they are asked under. */
export async function startModelMirror(
  directory: string,
  { bytesPerSecond = Infinity }: ModelMirrorOptions = {},
): Promise<ModelMirror> {
  const server = createServer((request, response) => {
    const file = join(directory, basename(request.url ?? ""));
    if (!file.endsWith(".gguf") || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    const size = statSync(file).size;
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, {
      "accept-ranges": "bytes",
      "content-length": size - from,
      ...(from > 0 ? { "content-range": `bytes ${from}-${size - 1}/${size}` } : {}),
    });
    // Who goes away in the middle is no failure of the mirror's.
    pipeline(createReadStream(file, { start: from }), paced(bytesPerSecond), response).catch(() => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Passes bytes on, no more in a second than so many. */
function paced(bytesPerSecond: number) {
  return async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const begin = performance.now();
    let sent = 0;
    for await (const chunk of source) {
      yield chunk;
      sent += chunk.length;
      const early = begin + (1000 * sent) / bytesPerSecond - performance.now();
      // Timers end late by about as much.
      if (early > 5) await delay(early);
    }
  };
}
