import { existsSync } from "node:fs";
import { installDebianPackages } from "./debian_packages";
import { findCommand } from "./find_command";
import { MissingTool } from "./missing_tool";

const commandNames = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
  "chrome.exe",
  "msedge.exe",
];

const applicationPaths = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/** Path of a Chromium-based browser: `$CHROME_PATH`, else the first one on the PATH or in a usual place. */
export function findBrowser(): string | undefined {
  const chosen = process.env["CHROME_PATH"];
  if (chosen) {
    if (!existsSync(chosen)) throw new MissingTool(`CHROME_PATH names ${chosen}, which does not exist`);
    return chosen;
  }
  return findCommand(...commandNames) ?? applicationPaths.find((path) => existsSync(path));
}

/** As `findBrowser`, but installs Chromium where that is possible; else throws MissingTool. */
export async function ensureBrowser(): Promise<string> {
  const found = findBrowser();
  if (found) return found;
  await installDebianPackages(["chromium", "fonts-dejavu-core"], "the end-to-end tests");
  const installed = findBrowser();
  if (!installed) throw new MissingTool("Chromium was installed but is not on the PATH; set CHROME_PATH");
  return installed;
}
