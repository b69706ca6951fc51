import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { EngineError } from "../shared/errors";

const writableByOthers = 0o022;
const onlyOwner = 0o700;

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
