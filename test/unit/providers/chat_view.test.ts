import { expect, test, vi } from "vitest";
import type { FromView } from "../../../src/shared/chat_messages";
import { EventEmitter, Uri } from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

const { ChatView } = await import("../../../src/providers/chat/chat_view");
type ExtensionUri = ConstructorParameters<typeof ChatView>[0];
type View = Parameters<InstanceType<typeof ChatView>["resolveWebviewView"]>[0];

/** What VS Code gives a view of the extension in /extension. */
function open(handle: (message: FromView) => void = () => undefined) {
  const messages = new EventEmitter<unknown>();
  const webview = {
    html: "",
    options: {} as { enableScripts?: boolean; localResourceRoots?: Uri[] },
    cspSource: "https://source.example",
    asWebviewUri: ({ path }: Uri) => `https://source.example${path}`,
    onDidReceiveMessage: messages.event,
  };
  const view: unknown = { webview, onDidDispose: () => undefined };
  new ChatView(Uri.file("/extension") as unknown as ExtensionUri, handle).resolveWebviewView(view as View);
  return { webview, messages };
}

test("the page runs its own script and loads nothing from anywhere else", () => {
  const { html, options } = open().webview;
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1];
  const nonce = /<script nonce="([0-9a-f]{32})"/.exec(html)?.[1];
  expect(nonce).toBeDefined();
  expect(policy?.split("; ")).toEqual([
    "default-src 'none'",
    "style-src https://source.example",
    "font-src https://source.example",
    `script-src 'nonce-${nonce}'`,
    "base-uri 'none'",
    "form-action 'none'",
  ]);
  expect(html.match(/<script/g)).toHaveLength(1);
  expect(options.localResourceRoots?.map(({ path }) => path)).toEqual(["/extension/dist/webview"]);
});

test("every page has a nonce of its own", () => {
  expect(open().webview.html).not.toBe(open().webview.html);
});

test("a message of another shape goes nowhere", () => {
  const got: unknown[] = [];
  const { messages } = open((message) => got.push(message));
  messages.fire({ type: "code", action: "run", code: "rm" });
  messages.fire({ type: "stop" });
  expect(got).toEqual([{ type: "stop" }]);
});
