import * as vscode from "vscode";
import { parseFromView, type FromView, type ToView } from "../../shared/chat_messages";

/** Hosts the chat's webview: its page, and the messages in both directions. There may be no view, or a new one. */
export class ChatView implements vscode.WebviewViewProvider {
  static readonly id = "nmos.chat";
  private view: vscode.WebviewView | undefined;

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly onMessage: (message: FromView) => void,
  ) {}

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const folder = vscode.Uri.joinPath(this.extensionUri, "dist", "webview");
    view.webview.options = { enableScripts: true, localResourceRoots: [folder] };
    view.webview.onDidReceiveMessage((value: unknown) => {
      const message = parseFromView(value);
      if (message) this.onMessage(message);
    });
    view.onDidDispose(() => {
      if (this.view === view) this.view = undefined;
    });
    view.webview.html = page(view.webview, folder);
  }

  post(message: ToView): void {
    void this.view?.webview.postMessage(message);
  }

  async reveal(): Promise<void> {
    await vscode.commands.executeCommand(`${ChatView.id}.focus`);
    this.post({ type: "focus" });
  }
}

/** Scripts run by nonce only, and nothing is loaded from anywhere but the extension. */
function page(webview: vscode.Webview, folder: vscode.Uri): string {
  const nonce = crypto.randomUUID().replaceAll("-", "");
  const uri = (file: string) => webview.asWebviewUri(vscode.Uri.joinPath(folder, file)).toString();
  const policy = [
    "default-src 'none'",
    `style-src ${webview.cspSource}`,
    `font-src ${webview.cspSource}`,
    `script-src 'nonce-${nonce}'`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1.0">
<link rel="stylesheet" href="${uri("chat.css")}">
<title>NMOS Chat</title>
</head>
<body>
<script nonce="${nonce}" src="${uri("chat.js")}"></script>
</body>
</html>`;
}
