import { spawnSync } from "node:child_process";
import { MissingTool } from "./missing_tool";
import { runCommand } from "./run_command";

/**
 * Installs Debian packages. Throws MissingTool, naming the packages, where that needs rights or a package manager
 * that this machine does not have.
 *
 * @param purpose completes the sentence "... is needed for", such as `the end-to-end tests`.
 */
export async function installDebianPackages(packages: readonly string[], purpose: string): Promise<void> {
  const hasApt = spawnSync("apt-get", ["--version"], { stdio: "ignore" }).status === 0;
  if (!hasApt || process.getuid?.() !== 0) {
    throw new MissingTool(
      `${packages.join(" ")} needed for ${purpose}: install with apt-get (or your system's equivalent)`,
    );
  }
  console.log(`Installing ${packages.join(" ")} for ${purpose} ...`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await runCommand("apt-get", ["-qq", "update"], { env });
  await runCommand("apt-get", ["-qq", "install", "-y", "--no-install-recommends", ...packages], { env });
}
