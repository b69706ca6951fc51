import type { FromView } from "../src/shared/chat_messages";

interface VsCodeApi {
  postMessage(message: unknown): void;
}

declare function acquireVsCodeApi(): VsCodeApi;

const api = acquireVsCodeApi();

/** Tells the extension what the user did. */
export function send(message: FromView): void {
  api.postMessage(message);
}
