import * as vscode from "vscode";
import { DisposableStack, type Disposable } from "../../shared/disposable";
import { parseFromMemoryView, type MemoryPicture, type ToMemoryView } from "../../shared/memory_messages";
import { webviewFolder, webviewPage } from "../webview_page";

/** Hosts the memory view's page in an editor tab. A page that comes up, also again, gets the latest picture. */
export class MemoryPanel implements Disposable {
  private readonly stack = new DisposableStack();
  private readonly panel: vscode.WebviewPanel;
  private picture: MemoryPicture | undefined;

  /** `onVisibility` is told when the tab goes out of sight and comes back. */
  constructor(extensionUri: vscode.Uri, onVisibility: (visible: boolean) => void, onClosed: () => void) {
    this.panel = vscode.window.createWebviewPanel("nmos.memory", "NMOS Memory", vscode.ViewColumn.Active, {
      enableScripts: true,
      localResourceRoots: [webviewFolder(extensionUri)],
    });
    const { webview } = this.panel;
    this.stack.add(
      webview.onDidReceiveMessage((value: unknown) => {
        if (parseFromMemoryView(value)) this.post();
      }),
    );
    this.stack.add(
      this.panel.onDidChangeViewState(() => {
        onVisibility(this.panel.visible);
      }),
    );
    this.stack.add(
      this.panel.onDidDispose(() => {
        this.stack.dispose();
        onClosed();
      }),
    );
    webview.html = webviewPage(webview, extensionUri, "memory", "NMOS Memory");
  }

  show(picture: MemoryPicture): void {
    this.picture = picture;
    this.post();
  }

  reveal(): void {
    this.panel.reveal();
  }

  private post(): void {
    if (!this.picture) return;
    const message: ToMemoryView = { type: "picture", picture: this.picture };
    void this.panel.webview.postMessage(message);
  }

  dispose(): void {
    this.panel.dispose();
  }
}
