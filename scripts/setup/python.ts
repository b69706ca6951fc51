import { spawnSync } from "node:child_process";
import { MissingTool } from "./missing_tool";

/** Command of a Python 3 with pip; `purpose` says what it is needed for. Throws MissingTool. */
export function pythonWithPip(purpose: string): string {
  const names = process.platform === "win32" ? ["python", "py"] : ["python3", "python"];
  const found = names.find((name) => spawnSync(name, ["-m", "pip", "--version"], { stdio: "ignore" }).status === 0);
  if (!found) throw new MissingTool(`Python 3 with pip is needed to ${purpose}: install python3 and python3-pip`);
  return found;
}
