import { EngineError } from "../../src/shared/errors";
import { MissingTool } from "./missing_tool";

/**
 * Runs a script's main function and sets the exit status. What the user can do something about is told in a sentence;
 * anything else is a bug and shown with its stack.
 */
export async function runScript(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (thrown) {
    console.error(isExplained(thrown) ? thrown.message : thrown);
    process.exitCode = 1;
  }
}

function isExplained(thrown: unknown): thrown is Error {
  if (thrown instanceof EngineError || thrown instanceof MissingTool) return true;
  return thrown instanceof Error && "code" in thrown && String(thrown.code).startsWith("ERR_PARSE_ARGS");
}
