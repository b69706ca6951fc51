import type { Page } from "playwright-core";

/**
 * Runs in the page of the workbench. A key's time is the browser's own, of its arrival. The editor draws in an animation frame;
 * what is posted while it changes its lines comes back when that frame has been painted.
 */
const script = `(() => {
  const painted = [];
  let overGhostText = 0;
  let pressed = [];
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data }) => {
    for (const at of data) painted.push(performance.now() - at);
  };
  addEventListener("keydown", ({ timeStamp }) => {
    pressed.push(timeStamp);
    if (document.querySelector(".ghost-text-decoration, .ghost-text")) overGhostText += 1;
  }, true);
  const lines = document.querySelector(".editor-group-container.active .monaco-editor .view-lines");
  new MutationObserver(() => {
    if (pressed.length === 0) return;
    port2.postMessage(pressed);
    pressed = [];
  }).observe(lines, { subtree: true, childList: true, characterData: true });
  globalThis.nmosPaintProbe = {
    take: () => {
      const taken = { painted: painted.splice(0), overGhostText };
      pressed = [];
      overGhostText = 0;
      return taken;
    },
  };
})()`;

export interface Painted {
  /** Milliseconds from each key to the frame that shows what it did. */
  painted: number[];
  /** Keys that were pressed while ghost text was on the screen. */
  overGhostText: number;
}

/** Measures the keys of the editor in front. */
export class PaintProbe {
  private constructor(private readonly page: Page) {}

  static async install(page: Page): Promise<PaintProbe> {
    await page.evaluate(script);
    return new PaintProbe(page);
  }

  /** Of the keys since the last time. */
  take(): Promise<Painted> {
    return this.page.evaluate<Painted>("globalThis.nmosPaintProbe.take()");
  }
}
