import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium, type Browser, type BrowserContext } from "playwright-core";
import { ensureBrowser } from "../../scripts/setup/browser";
import { ensureCodeServer } from "../../scripts/setup/code_server";
import { hostPlatform } from "../../scripts/setup/engine_libraries";
import { WorkbenchServer } from "../../scripts/setup/workbench_server";
import { modelsDirectory } from "../../src/engine/paths";
import { engineHosts } from "./processes";
import { Workbench } from "./workbench";

export const model = "qwen2.5-coder-0.5b";
export const screenshots = resolve("artifacts/screenshots");

const chromiumFlags = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ...["--disable-component-update", "--disable-sync"],
];

/** The packaged extension in a fresh profile of a real VS Code, with a real model, and a browser to use it with. */
export class Product {
  private readonly contexts: BrowserContext[] = [];

  private constructor(
    private readonly scratch: string,
    private readonly server: WorkbenchServer,
    private readonly browser: Browser,
  ) {}

  static async start(files: Record<string, string>): Promise<Product> {
    const scratch = mkdtempSync(join(tmpdir(), "nmos-e2e-"));
    const folder = join(scratch, "workspace");
    mkdirSync(folder);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const server = await WorkbenchServer.start({
      codeServer: await ensureCodeServer(),
      directory: scratch,
      vsix: resolve(`artifacts/nmos-${hostPlatform}.vsix`),
      settings: {
        "nmos.completion.model": model,
        "nmos.chat.model": model,
        "nmos.chat.temperature": 0,
        "nmos.engine.modelsDirectory": modelsDirectory(),
        "editor.fontSize": 15,
        "files.autoSave": "off",
      },
      env: { NMOS_HOME: join(scratch, "nmos") },
    });
    const browser = await chromium.launch({ executablePath: await ensureBrowser(), args: chromiumFlags });
    return new Product(scratch, server, browser);
  }

  get folder(): string {
    return join(this.scratch, "workspace");
  }

  /** Process ids of the engine hosts of this profile. */
  hosts(): number[] {
    return engineHosts(join(this.scratch, "nmos"));
  }

  /** A window of its own: another browser profile with the same workspace. */
  async openWindow(): Promise<Workbench> {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 } });
    this.contexts.push(context);
    return Workbench.open(await context.newPage(), this.server.url(this.folder), this.folder);
  }

  async stop(): Promise<void> {
    for (const context of this.contexts) await context.close();
    await this.browser.close();
    await this.server.stop();
    for (const pid of this.hosts()) process.kill(pid, "SIGKILL");
    rmSync(this.scratch, { recursive: true, force: true, maxRetries: 5 });
  }
}
