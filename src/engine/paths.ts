import { createHash } from "node:crypto";
import { homedir, tmpdir, userInfo } from "node:os";
import { posix, win32, type PlatformPath } from "node:path";
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
  /** Engine packs: libraries are loaded from there. */
  packs: string;
  logs: string;
  /** What takes long to find out and may be deleted at any time. */
  cache: string;
  /** Log of the engine host. */
  logFile: string;
  /** Folder of the token, the lock and, as a rule, the socket; for this user only. */
  runtime: string;
  /** Unix socket or named pipe of the engine host. */
  endpoint: string;
  /** Folder of the unix socket: `runtime`, or a shorter one where that path would be too long. Null for a named pipe. */
  socketDirectory: string | null;
  tokenFile: string;
  lockFile: string;
}

/** The kernel's limit for the path of a unix socket is 104 bytes on macOS and 108 on Linux, the end mark included. */
const longestSocketPath = 103;

const version = String(PROTOCOL_VERSION);

/** Folders of this user. `NMOS_HOME` puts all of them below one folder. */
export function enginePaths(input: PathsInput = thisMachine(process.env)): Paths {
  const { platform, env } = input;
  const path = pathsOf(platform);
  const own = env["NMOS_HOME"];
  const data = own || dataDirectory(input);
  const runtime = own ? path.join(own, "run") : runtimeDirectory(input, data);
  const socketDirectory = platform === "win32" ? null : shortDirectory(input, runtime);
  return {
    models: path.join(data, "models"),
    packs: path.join(data, "packs"),
    logs: path.join(data, "logs"),
    cache: path.join(data, "cache"),
    logFile: path.join(data, "logs", "engine.log"),
    runtime,
    endpoint: socketDirectory === null ? pipeName(input, runtime) : path.join(socketDirectory, socketName),
    socketDirectory,
    tokenFile: path.join(runtime, `token-${version}`),
    lockFile: path.join(runtime, `engine-${version}.lock`),
  };
}

/** Folder of the downloaded models, unless the setting names another. */
export function modelsDirectory(setting = ""): string {
  return setting || enginePaths().models;
}

/** The machine this process runs on, as seen with these environment variables. */
export function thisMachine(env: NodeJS.ProcessEnv): PathsInput {
  const { username, uid } = userInfo();
  return {
    platform: process.platform,
    env,
    home: homedir(),
    temporary: tmpdir(),
    user: { name: username, id: uid },
  };
}

function dataDirectory({ platform, env, home }: PathsInput): string {
  const path = pathsOf(platform);
  if (platform === "win32") return path.join(env["LOCALAPPDATA"] || path.join(home, "AppData", "Local"), "nmos");
  if (platform === "darwin") return path.join(home, "Library", "Application Support", "nmos");
  return path.join(absolute(env["XDG_DATA_HOME"]) ?? path.join(home, ".local", "share"), "nmos");
}

function runtimeDirectory({ platform, env, temporary, user }: PathsInput, data: string): string {
  if (platform === "win32") return win32.join(data, "run");
  const session = platform === "linux" ? absolute(env["XDG_RUNTIME_DIR"]) : undefined;
  return session ? posix.join(session, "nmos") : posix.join(temporary, `nmos-${String(user.id)}`);
}

/** The path rules of a platform, whichever this process runs on. */
function pathsOf(platform: NodeJS.Platform): PlatformPath {
  return platform === "win32" ? win32 : posix;
}

/** The XDG base directory specification says that a relative path is to be ignored. */
function absolute(path: string | undefined): string | undefined {
  return path && posix.isAbsolute(path) ? path : undefined;
}

const socketName = `engine-${version}.sock`;

/** Another pipe for every user and every place of the runtime folder. */
function pipeName({ user }: PathsInput, runtime: string): string {
  return `\\\\.\\pipe\\nmos-${digest(`${user.name}\n${runtime}`)}-${version}`;
}

/** The first of these folders in which the socket's path is short enough for the kernel. */
function shortDirectory({ temporary, user }: PathsInput, runtime: string): string {
  const name = `nmos-${String(user.id)}-${digest(runtime)}`;
  const candidates = [runtime, posix.join(temporary, name)];
  const short = candidates.find((path) => Buffer.byteLength(posix.join(path, socketName)) <= longestSocketPath);
  return short ?? posix.join("/tmp", name);
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
