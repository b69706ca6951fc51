import * as vscode from "vscode";
import { parseFromView, type FromView, type ToView } from "../../shared/chat_messages";
import { webviewFolder, webviewPage } from "../webview_page";

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
    view.webview.options = { enableScripts: true, localResourceRoots: [webviewFolder(this.extensionUri)] };
    view.webview.onDidReceiveMessage((value: unknown) => {
      const message = parseFromView(value);
      if (message) this.onMessage(message);
    });
    view.onDidDispose(() => {
      if (this.view === view) this.view = undefined;
    });
    view.webview.html = webviewPage(view.webview, this.extensionUri, "chat", "NMOS Chat");
  }

  post(message: ToView): void {
    void this.view?.webview.postMessage(message);
  }

  async reveal(): Promise<void> {
    await vscode.commands.executeCommand(`${ChatView.id}.focus`);
    this.post({ type: "focus" });
  }
}
