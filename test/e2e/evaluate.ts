import type { FrameLocator } from "playwright-core";

/** Runs JavaScript, which is text because these files know no browser's types, in the page of a webview. */
export async function evaluate<T>(page: FrameLocator, expression: string): Promise<T> {
  const frame = await (await page.locator("body").elementHandle()).ownerFrame();
  if (!frame) throw new Error("expected the page of a webview, got none");
  return frame.evaluate<T>(expression);
}
