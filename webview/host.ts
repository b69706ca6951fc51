import type { FromView } from "../src/shared/chat_messages";
import type { FromMemoryView } from "../src/shared/memory_messages";

interface VsCodeApi {
  postMessage(message: unknown): void;
}

declare function acquireVsCodeApi(): VsCodeApi;

const api = acquireVsCodeApi();

/** Tells the extension what the user did. Every page sends messages of its own kind. */
export function send(message: FromView | FromMemoryView): void {
  api.postMessage(message);
}
