import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { ensureBrowser } from "../../scripts/setup/browser";
import { ensureCodeServer } from "../../scripts/setup/code_server";
import { hostPlatform } from "../../scripts/setup/engine_libraries";
import { WorkbenchServer, type InHostTests } from "../../scripts/setup/workbench_server";
import { suiteSettings } from "../electron/suite_settings";
import { engineHosts, extensionHosts } from "./processes";
import { Workbench } from "./workbench";

export const screenshots = resolve("artifacts/screenshots");

const chromiumFlags = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ...["--disable-component-update", "--disable-sync"],
];

export interface ProductOptions {
  /** Contents of the first window's workspace, by file name. */
  files: Record<string, string>;
  /** Settings of the profile beside, or in place of, those that choose the installed test model. */
  settings?: Record<string, unknown>;
  /** Added to the environment of the extension hosts. */
  env?: Record<string, string>;
  inHostTests?: boolean;
  /** VSIX files of extensions beside the product. */
  otherExtensions?: readonly string[];
}

/** The packaged extension in a fresh profile of a real VS Code, with a real model, and a browser to use it with. */
export class Product {
  private readonly windows: Workbench[] = [];

  private constructor(
    private readonly scratch: string,
    private readonly server: WorkbenchServer,
    private readonly browser: Browser,
  ) {}

  static async start(options: ProductOptions): Promise<Product> {
    const { files, settings, env, inHostTests = false, otherExtensions = [] } = options;
    const scratch = mkdtempSync(join(tmpdir(), "nmos-e2e-"));
    writeFiles(join(scratch, "workspace"), files);
    const server = await WorkbenchServer.start({
      codeServer: await ensureCodeServer(),
      directory: scratch,
      vsixFiles: [resolve(`artifacts/nmos-${hostPlatform}.vsix`), ...otherExtensions],
      settings: { ...suiteSettings(), "editor.fontSize": 15, "files.autoSave": "off", ...settings },
      env: { NMOS_HOME: join(scratch, "nmos"), ...env },
      inHostTests,
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

  /** Process ids of the extension hosts of this profile, one for each window. */
  extensionHosts(): number[] {
    return extensionHosts(join(this.scratch, "nmos"));
  }

  /** A window of its own, as of another browser. Windows with one workspace would restore each other's unsaved files. */
  async openWindow(workspace = "workspace", files: Record<string, string> = {}): Promise<Workbench> {
    const folder = join(this.scratch, workspace);
    writeFiles(folder, files);
    const window = await Workbench.open(await this.newPage(), this.server.url(folder), folder);
    this.windows.push(window);
    return window;
  }

  /** A window whose extension host runs tests. */
  async openTestWindow(tests: InHostTests): Promise<Workbench> {
    const window = await Workbench.open(await this.newPage(), this.server.testUrl(this.folder, tests), this.folder);
    this.windows.push(window);
    return window;
  }

  /** Closes a window; its extension host ends a moment later. */
  async closeWindow(window: Workbench): Promise<void> {
    this.windows.splice(this.windows.indexOf(window), 1);
    await window.page.context().close();
  }

  private async newPage(): Promise<Page> {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 } });
    return context.newPage();
  }

  /** What all windows show and the engine's log, for finding out why a test failed. */
  async keepEvidence(name: string): Promise<void> {
    const directory = join(screenshots, "failed", name.replaceAll(/\W+/g, "_"));
    for (const [index, window] of this.windows.entries()) {
      await window.screenshot(join(directory, `window_${index + 1}.png`));
      // Messages that have gone from the screen by now often say it.
      await window.runCommand("Notifications: Show Notifications").catch(() => undefined);
      await window.screenshot(join(directory, `window_${index + 1}_notifications.png`));
    }
    const log = join(this.scratch, "nmos", "logs", "engine.log");
    if (existsSync(log)) copyFileSync(log, join(directory, "engine.log"));
  }

  async stop(): Promise<void> {
    await this.browser.close();
    await this.server.stop();
    for (const pid of this.hosts()) process.kill(pid, "SIGKILL");
    rmSync(this.scratch, { recursive: true, force: true, maxRetries: 5 });
  }
}

function writeFiles(folder: string, files: Record<string, string>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}
