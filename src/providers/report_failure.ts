import * as vscode from "vscode";
import { toEngineError, type ErrorCode } from "../shared/errors";

interface Remedy {
  title: string;
  command: string;
}

const downloadModel: Remedy = { title: "Download Model", command: "nmos.downloadModel" };
const selectModel: Remedy = { title: "Select Model", command: "nmos.selectModel" };
const openLog: Remedy = { title: "Open Log", command: "nmos.openLog" };
const selfTest: Remedy = { title: "Run Self-Test", command: "nmos.selfTest" };

/** What helps against a failure, most useful first. */
export function remediesFor(code: ErrorCode): Remedy[] {
  switch (code) {
    case "MODEL_NOT_INSTALLED":
    case "CHECKSUM_MISMATCH":
    case "MODEL_TRUNCATED":
    case "DOWNLOAD_FAILED":
      return [downloadModel, openLog];
    case "MODEL_NOT_FOUND":
    case "MODEL_UNKNOWN":
    case "MODEL_INVALID":
    case "MODEL_UNSUPPORTED":
    case "OUT_OF_MEMORY":
      return [selectModel, openLog];
    case "CONTEXT_TOO_LONG":
    case "DISK_FULL":
    case "MODEL_IN_USE":
    case "CANCELLED":
    case "QUALITY_TOO_LOW":
      return [];
    case "INVALID_ARGUMENT":
    case "SESSION_BUSY":
    case "CLOSED":
    case "INTERNAL":
    case "ENGINE_DIED":
    case "PROTOCOL_MISMATCH":
    case "UNAUTHORIZED":
      return [openLog];
    case "BACKEND_UNAVAILABLE":
    case "DEVICE_FAILED":
    case "ENGINE_UNAVAILABLE":
      return [selfTest, openLog];
  }
}

/**
 * Tells the user that something they asked for failed, with buttons that help. Says nothing of a cancellation.
 * Resolves when the message is gone.
 */
export async function reportFailure(what: string, thrown: unknown): Promise<void> {
  const error = toEngineError(thrown);
  if (error.code === "CANCELLED") return;
  const remedies = remediesFor(error.code);
  const chosen = await vscode.window.showErrorMessage(
    `${what}: ${error.message}`,
    ...remedies.map((remedy) => remedy.title),
  );
  const remedy = remedies.find(({ title }) => title === chosen);
  if (remedy) await vscode.commands.executeCommand(remedy.command);
}

/**
 * Registers a command whose failure is told to the user instead of to VS Code's generic error box. Resolves with what
 * the command resolves with.
 */
export function registerCommand(
  id: string,
  failure: string,
  run: (...args: unknown[]) => Promise<unknown>,
): vscode.Disposable {
  return vscode.commands.registerCommand(id, async (...args: unknown[]) => {
    try {
      return await run(...args);
    } catch (thrown) {
      void reportFailure(failure, thrown);
      return undefined;
    }
  });
}
