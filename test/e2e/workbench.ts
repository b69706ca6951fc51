import { mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errors, type FrameLocator, type Locator, type Page } from "playwright-core";
import { until } from "./until";

/** Milliseconds the workbench may take for one step before it counts as hanging. */
const patience = 60_000;

/** One VS Code window, driven as a user drives it: by keys, the command palette and what is on the screen. */
export class Workbench {
  private constructor(
    readonly page: Page,
    readonly folder: string,
  ) {
    page.setDefaultTimeout(patience);
  }

  static async open(page: Page, url: string, folder: string): Promise<Workbench> {
    const workbench = new Workbench(page, folder);
    await page.goto(url, { waitUntil: "domcontentloaded" });
    await page.locator(".monaco-workbench .part.statusbar").waitFor();
    await page.locator(".explorer-folders-view .monaco-list-row").first().waitFor();
    return workbench;
  }

  /** The text box, or the code, of the editor in front. */
  get editor(): Locator {
    return this.page.locator(".editor-group-container.active .monaco-editor").first();
  }

  /** The right side of the diff in front. */
  get proposedCode(): Locator {
    return this.page.locator(".editor-group-container.active .monaco-diff-editor .editor.modified .view-lines");
  }

  /** Ghost text as shown; the first line is drawn into the line of the cursor, further ones below. */
  get ghostText(): Locator {
    return this.page.locator(".ghost-text-decoration, .ghost-text-decoration-preview, .ghost-text");
  }

  /** The contents of the webview in the side bar (VS Code nests it in two frames), not those of editors. */
  get webviewView(): FrameLocator {
    return this.page.frameLocator("iframe.webview.ready[src*='purpose=webviewView']").frameLocator("#active-frame");
  }

  /** The contents of the webview in the editor in front, such as the memory view. */
  get webviewEditor(): FrameLocator {
    return this.page
      .frameLocator("iframe.webview.ready:not([src*='purpose=webviewView'])")
      .frameLocator("#active-frame");
  }

  /** The quick input box: command palette, file picker, input boxes and picks of extensions. */
  get quickInput(): Locator {
    return this.page.locator(".quick-input-widget:visible");
  }

  statusBarItem(text: string | RegExp): Locator {
    return this.page.locator(".part.statusbar .statusbar-item").filter({ hasText: text });
  }

  notification(text: string | RegExp): Locator {
    return this.page.locator(".notification-toast, .notification-list-item").filter({ hasText: text });
  }

  /** Runs a command by its exact title in the palette, such as `NMOS: Show Memory`. */
  async runCommand(title: string): Promise<void> {
    await this.choose("F1", `>${title}`, title);
  }

  /** Opens a quick input, types into it and picks; all again when something that takes the focus closes it meanwhile. */
  private async choose(key: string, text: string, label: string): Promise<void> {
    const timeout = 3_000;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.page.keyboard.press(key);
        await this.quickInput.locator("input.input").fill(text, { timeout });
        await this.pick(label, timeout);
        return;
      } catch (error) {
        if (!(error instanceof errors.TimeoutError) || attempt === 10) throw error;
      }
    }
  }

  /** Picks the row of the open quick input whose label is or starts with `label`. */
  async pick(label: string, timeout = patience): Promise<void> {
    const rows = this.quickInput.locator(".monaco-list-row");
    await rows.filter({ hasText: label }).first().click({ timeout });
  }

  /** Answers the open input box of an extension. */
  async answer(text: string): Promise<void> {
    await this.quickInput.locator("input.input").fill(text);
    await this.page.keyboard.press("Enter");
  }

  async openFile(name: string): Promise<void> {
    await this.choose("Control+P", name, name);
    await this.tabInFront(name);
    await this.focusEditor();
  }

  /** Waits until the editor with this title is in front; a diff of a file has the file's name in its title, too. */
  async tabInFront(title: string | RegExp): Promise<void> {
    await this.page.locator(".tab.active").getByText(title, { exact: true }).waitFor();
  }

  async focusEditor(): Promise<void> {
    await this.editor.locator(".view-lines").click();
    await this.editor.and(this.page.locator(".focused")).waitFor();
  }

  async goToEnd(): Promise<void> {
    await this.page.keyboard.press("Control+End");
  }

  /** Types as a person does, one key after the other. */
  async type(text: string): Promise<void> {
    await this.page.keyboard.type(text, { delay: 20 });
  }

  async press(...keys: string[]): Promise<void> {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  /** The ghost text on the screen once it satisfies `accept`, lines joined, no-break spaces made plain. */
  async ghostTextShown(accept: (text: string) => boolean = (text) => text.trim() !== ""): Promise<string> {
    const read = async (): Promise<string> =>
      (await this.ghostText.allInnerTexts()).join("\n").replaceAll("\u00a0", " ");
    return until("ghost text", read, accept, patience);
  }

  /** Waits until the editor in front shows `text`, saves it and resolves with the file's contents. */
  async savedText(name: string, text: string): Promise<string> {
    await this.editor.locator(".view-lines").filter({ hasText: text }).waitFor();
    await this.page.keyboard.press("Control+S");
    return this.fileText(name, (contents) => contents.includes(text));
  }

  /** The contents of a file of the workspace once they satisfy `accept`. */
  fileText(name: string, accept: (text: string) => boolean): Promise<string> {
    return until(`other contents of ${name}`, () => readFile(join(this.folder, name), "utf8"), accept, patience);
  }

  async screenshot(path: string): Promise<void> {
    mkdirSync(dirname(path), { recursive: true });
    await this.page.screenshot({ path });
  }
}
