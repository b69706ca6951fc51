import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { EngineError } from "../shared/errors";
import { PROTOCOL_VERSION } from "../shared/protocol";

/** What the folders depend on; injected by tests. */
export interface PathsInput {
  platform: NodeJS.Platform;
  env: Readonly<Record<string, string | undefined>>;
  home: string;
  temporary: string;
  user: { name: string; id: number };
}

/** Every place on disk that NMOS uses for this user. */
export interface Paths {
  models: string;
  logs: string;
  /** Log of the engine host. */
  logFile: string;
  /** Folder of the socket, the token and the lock; for this user only. */
  runtime: string;
  /** Unix socket or named pipe of the engine host. */
  endpoint: string;
  tokenFile: string;
  lockFile: string;
}

/** The kernel's limit for the path of a unix socket is 104 bytes on macOS and 108 on Linux, the end mark included. */
const longestSocketPath = 103;

/** Folders of this user. `NMOS_HOME` puts all of them below one folder. */
export function enginePaths(input: PathsInput = thisMachine()): Paths {
  const { env, platform } = input;
  const own = env["NMOS_HOME"];
  const data = own || dataDirectory(input);
  const runtime = own ? join(own, "run") : runtimeDirectory(input);
  return {
    models: join(data, "models"),
    logs: join(data, "logs"),
    logFile: join(data, "logs", "engine.log"),
    runtime,
    endpoint: platform === "win32" ? pipeName(input, runtime) : socketPath(input, runtime),
    tokenFile: join(runtime, `token-${String(PROTOCOL_VERSION)}`),
    lockFile: join(runtime, `engine-${String(PROTOCOL_VERSION)}.lock`),
  };
}

export function modelsDirectory(setting = ""): string {
  return setting || enginePaths().models;
}

/**
 * Creates the runtime folder for this user alone. Fails with `UNAUTHORIZED` when somebody else made it, because who
 * owns the folder can read the token.
 */
export function ensureRuntimeDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (process.platform === "win32") return;
  const { uid } = lstatSync(directory);
  if (uid !== userInfo().uid) {
    throw new EngineError(
      "UNAUTHORIZED",
      `${directory} belongs to another user (id ${String(uid)}), so NMOS does not use it. Remove it, or set NMOS_HOME to a folder of your own.`,
    );
  }
  chmodSync(directory, 0o700);
}

function thisMachine(): PathsInput {
  const { username, uid } = userInfo();
  return {
    platform: process.platform,
    env: process.env,
    home: homedir(),
    temporary: tmpdir(),
    user: { name: username, id: uid },
  };
}

function dataDirectory({ platform, env, home }: PathsInput): string {
  if (platform === "win32") return join(env["LOCALAPPDATA"] || join(home, "AppData", "Local"), "nmos");
  if (platform === "darwin") return join(home, "Library", "Application Support", "nmos");
  return join(env["XDG_DATA_HOME"] || join(home, ".local", "share"), "nmos");
}

function runtimeDirectory({ platform, env, temporary, user }: PathsInput): string {
  if (platform === "win32") return join(dataDirectory({ platform, env, home: "", temporary, user }), "run");
  if (platform === "linux" && env["XDG_RUNTIME_DIR"]) return join(env["XDG_RUNTIME_DIR"], "nmos");
  return join(temporary, `nmos-${String(user.id)}`);
}

function pipeName({ user }: PathsInput, runtime: string): string {
  return `\\\\.\\pipe\\nmos-${digest(`${user.name}\n${runtime}`)}-${String(PROTOCOL_VERSION)}`;
}

function socketPath({ temporary, user }: PathsInput, runtime: string): string {
  const name = `engine-${String(PROTOCOL_VERSION)}.sock`;
  const path = join(runtime, name);
  if (Buffer.byteLength(path) <= longestSocketPath) return path;
  return join(temporary, `nmos-${String(user.id)}`, `${digest(runtime)}-${name}`);
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
