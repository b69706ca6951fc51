import { mkdirSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Endpoint } from "../../../src/engine/host/endpoint";
import { enginePaths, thisMachine, type Paths } from "../../../src/engine/paths";
import { temporaryDirectories } from "../models/temporary_directory";
import { itOnPosix } from "../support/on_systems";

const directory = temporaryDirectories();
const opened: Endpoint[] = [];

afterEach(() => {
  for (const endpoint of opened.splice(0)) endpoint.close();
});

/** Of a user of its own. `isPipe`: as on Windows; here, where that has to be, a socket without a folder stands in. */
function placeOf(isPipe: boolean): Paths {
  const home = directory();
  const paths = enginePaths(thisMachine({ NMOS_HOME: home }));
  for (const folder of [paths.runtime, paths.socketDirectory ?? paths.runtime]) mkdirSync(folder, { recursive: true });
  if (!isPipe || process.platform === "win32") return paths;
  return { ...paths, endpoint: join(home, "pipe"), socketDirectory: null };
}

/** What `keepPipeToUser` does, each time that it is called; the last one for ever. */
async function open(paths: Paths, answers: (string | Error)[]) {
  const events: string[] = [];
  let calls = 0;
  const endpoint = new Endpoint({
    paths,
    token: "5".repeat(64),
    log: (line) => events.push(line.replace(paths.endpoint, "PIPE")),
    onClient: (socket) => {
      events.push("a client");
      socket.destroy();
    },
    keepPipeToUser: (name) => {
      expect(name).toBe(paths.endpoint);
      const answer = answers[Math.min(calls++, answers.length - 1)] ?? "";
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  opened.push(endpoint);
  await endpoint.open();
  return { endpoint, events, calls: () => calls };
}

function connectTo({ endpoint }: Paths): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection(endpoint);
    socket
      .on("error", () => undefined)
      .on("close", () => {
        resolve();
      });
  });
}

describe("a named pipe", () => {
  it("is closed to other users once, before a client is served", async () => {
    const paths = placeOf(true);
    const { endpoint, events, calls } = await open(paths, ["D:P"]);
    await connectTo(paths);
    await endpoint.restore();
    expect(events).toEqual(["listening on PIPE", "only this user may connect: D:P", "a client"]);
    expect(calls()).toBe(1);
  });

  it("that cannot be closed to them serves all the same, says so once and is tried again", async () => {
    const paths = placeOf(true);
    const { endpoint, events, calls } = await open(paths, [new Error("busy"), new Error("busy"), "D:P"]);
    await connectTo(paths);
    for (let round = 0; round < 3; ++round) await endpoint.restore();
    expect(events).toEqual([
      "listening on PIPE",
      "others may still connect: Error: busy",
      "a client",
      "only this user may connect: D:P",
    ]);
    expect(calls()).toBe(3);
  });
});

itOnPosix("a socket lies in a folder that is closed to them", async () => {
  const paths = placeOf(false);
  const { endpoint, calls } = await open(paths, [new Error("no pipe")]);
  await endpoint.restore();
  expect(calls()).toBe(0);
});
