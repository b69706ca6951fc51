import { existsSync } from "node:fs";
import { afterEach, expect, test, vi } from "vitest";
import { EngineHost } from "../../../src/engine/host/engine_host";
import type { EngineServiceOptions } from "../../../src/engine/host/engine_service";
import { enginePaths, thisMachine } from "../../../src/engine/paths";
import { temporaryDirectories } from "../models/temporary_directory";

const directory = temporaryDirectories();

const service = vi.hoisted(() => ({
  options: null as EngineServiceOptions | null,
  closed: [] as unknown[],
}));

vi.mock("../../../src/engine/host/engine_service", () => ({
  EngineService: class {
    constructor(options: EngineServiceOptions) {
      service.options = options;
    }

    close(ending: unknown): Promise<void> {
      service.closed.push(ending);
      return Promise.resolve();
    }
  },
}));

afterEach(() => {
  service.closed = [];
});

/** A host in this process, with the ends that it told of. */
async function start() {
  const paths = enginePaths(thisMachine({ NMOS_HOME: directory() }));
  const ends: boolean[] = [];
  const host = await EngineHost.start({
    ...{ paths, extensionRoot: "", hostVersion: "0", graceMs: 60_000, log: () => undefined },
    onClient: () => undefined,
    onEnd: (isClosed) => ends.push(isClosed),
  });
  return { host, ends, hasLock: () => existsSync(paths.lockFile) };
}

test.each<[what: string, end: (host: EngineHost | null) => void, isFailure: boolean]>([
  ["a card fails", () => service.options?.onDeviceFailed("lost"), true],
  ["a client asks for it", () => service.options?.onShutdown(), false],
  ["the system asks for it", (host) => void host?.end("SIGTERM"), false],
])("when %s the native engine is closed once, told why, and the place is free", async (_, end, isFailure) => {
  const { host, ends, hasLock } = await start();
  expect(hasLock()).toBe(true);
  end(host);
  end(host);
  await vi.waitUntil(() => ends.length > 0);
  expect(service.closed).toEqual([{ isFailure }]);
  expect(ends).toEqual([true]);
  expect(hasLock()).toBe(false);
});
