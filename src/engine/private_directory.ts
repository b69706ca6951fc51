import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { EngineError } from "../shared/errors";
import type { Paths } from "./paths";

const writableByOthers = 0o022;
const onlyOwner = 0o700;

/**
 * Makes sure that the folders in which host and clients find each other are this user's alone; to be called before
 * anything in them is believed: a socket or a lock of somebody else's would get the token and what the user writes.
 *
 * A named pipe of Windows lies in no folder, and Node does not tell whose process answers on one. While a host lives
 * nobody else can make a pipe of its name, because it was made as the first instance, and only this user may connect to it
 * (host/endpoint.ts). A process that takes the name while there is no host keeps the engine from starting, and clients tell it
 * nothing (ipc/mutual_proof.ts).
 */
export function ensurePrivatePlace({ runtime, socketDirectory }: Pick<Paths, "runtime" | "socketDirectory">): void {
  ensurePrivateDirectory(runtime);
  if (socketDirectory !== null) ensurePrivateDirectory(socketDirectory);
}

/**
 * Makes sure that a folder exists and is this user's alone. Throws `UNAUTHORIZED` when somebody else owns it or could
 * have put files there: who writes in the folder of the token can be the engine for this user.
 */
export function ensurePrivateDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: onlyOwner });
  } catch (thrown) {
    throw refused(directory, `cannot be created: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  // Windows: the folder is below the user's profile, whose access list it inherits.
  if (process.platform === "win32") return;
  const stat = lstatSync(directory);
  if (!stat.isDirectory()) throw refused(directory, "is not a folder");
  if (stat.uid !== process.getuid?.()) throw refused(directory, `belongs to another user (id ${String(stat.uid)})`);
  if (stat.mode & writableByOthers) {
    throw refused(directory, `may be written by other users (mode ${(stat.mode & 0o777).toString(8)})`);
  }
  chmodSync(directory, onlyOwner);
}

function refused(directory: string, reason: string): EngineError {
  return new EngineError(
    "UNAUTHORIZED",
    `${directory} ${reason}, so NMOS does not use it. Remove it, or set NMOS_HOME to a folder of your own.`,
  );
}
