import { availableParallelism } from "node:os";
import { findCommand } from "./find_command";
import { runCommand } from "./run_command";

/** Builds the project with CMake alone, where cmake-js has nothing to add. Builds only what changed. */
export async function buildWithCmake(
  directory: string,
  defines: Readonly<Record<string, string>>,
  ...options: string[]
): Promise<void> {
  const generator = findCommand("ninja") ? ["-G", "Ninja"] : [];
  const settings = Object.entries(defines).map(([name, value]) => `-D${name}=${value}`);
  await runCommand("cmake", ["-S", ".", "-B", directory, "--log-level=WARNING", ...generator, ...settings]);
  await runCommand("cmake", ["--build", directory, "--parallel", String(availableParallelism()), ...options]);
}
