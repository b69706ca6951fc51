import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";

export interface ModelMirror {
  /** For nmos.download.mirror. */
  url: string;
  close: () => Promise<void>;
}

/** A company's mirror as the setting has it: offers the model files of a folder, whatever path they are asked under. */
export async function startModelMirror(directory: string): Promise<ModelMirror> {
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
    createReadStream(file, { start: from }).pipe(response);
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
