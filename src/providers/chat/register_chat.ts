import * as vscode from "vscode";
import { readChatSettings } from "../../config/settings.generated";
import type { EngineClient } from "../../engine/client/engine_client";
import type { AttachmentKind, FromView } from "../../shared/chat_messages";
import { DisposableStack, type Disposable } from "../../shared/disposable";
import type { EditReview } from "../edit_review";
import { registerCommand, reportFailure } from "../report_failure";
import { attachmentFromEditor } from "./attachments";
import { ChatSession } from "./chat_session";
import { ChatView } from "./chat_view";
import { runCodeAction } from "./code_actions";
import { ConversationStore } from "./conversation_store";

/** The chat as other features use it. */
export interface Chat extends Disposable {
  /** Opens the sidebar and asks in the current conversation. Resolves when the answer has ended. */
  ask(text: string): Promise<void>;
}

/** The chat sidebar and its commands. */
export function registerChat(context: vscode.ExtensionContext, engine: EngineClient, review: EditReview): Chat {
  const stack = new DisposableStack();
  const store = new ConversationStore(context.workspaceState);
  const session = stack.add(
    new ChatSession({
      engine,
      store,
      settings: readChatSettings,
      post: (message) => {
        view.post(message);
      },
    }),
  );
  const view = new ChatView(context.extensionUri, (message) => {
    handle(message).catch((thrown: unknown) => reportFailure("The chat failed", thrown));
  });
  stack.add(
    vscode.window.registerWebviewViewProvider(ChatView.id, view, { webviewOptions: { retainContextWhenHidden: true } }),
  );

  async function ask(text: string): Promise<void> {
    await view.reveal();
    await session.send(text);
  }

  async function attach(kind: AttachmentKind): Promise<void> {
    const attachment = attachmentFromEditor(kind);
    if (!attachment) return;
    session.attach(attachment);
    await view.reveal();
  }

  async function handle(message: FromView): Promise<void> {
    switch (message.type) {
      case "ready":
        session.refresh();
        return session.refreshModels();
      case "send":
        return session.send(message.text);
      case "resend":
        return session.resend(message.id, message.text);
      case "regenerate":
        return session.regenerate();
      case "stop":
        session.stop();
        return;
      case "draft":
        session.setDraft(message.text);
        return;
      case "attach":
        return attach(message.kind);
      case "detach":
        session.detach(message.index);
        return;
      case "newConversation":
        session.newConversation();
        return;
      case "openConversation":
        session.openConversation(message.id);
        return;
      case "renameConversation":
        return rename(message.id);
      case "deleteConversation":
        session.deleteConversation(message.id);
        return;
      case "chooseModel":
        await vscode.workspace
          .getConfiguration("nmos")
          .update("chat.model", message.ref, vscode.ConfigurationTarget.Global);
        return;
      case "code":
        return runCodeAction(message.action, message.code, review);
      case "openLink":
        return openLink(message.url);
      case "openLog":
        await vscode.commands.executeCommand("nmos.openLog");
        return;
      case "downloadModel":
        await vscode.commands.executeCommand("nmos.downloadModel");
    }
  }

  async function rename(id: string): Promise<void> {
    const value = store.summaries().find((one) => one.id === id)?.title ?? "";
    const title = await vscode.window.showInputBox({ title: "Rename the conversation", value });
    if (!title) return;
    store.rename(id, title);
    session.refresh();
  }

  async function askInBox(given: unknown): Promise<void> {
    const text = typeof given === "string" ? given : await vscode.window.showInputBox({ title: "Ask NMOS" });
    if (text) await ask(text);
  }

  const commands: Record<string, (given: unknown) => Promise<void> | void> = {
    new: () => {
      session.newConversation();
      return view.reveal();
    },
    ask: askInBox,
    attachSelection: () => attach("selection"),
    attachFile: () => attach("file"),
    attachProblems: () => attach("problems"),
    clear: () => {
      session.deleteConversation(store.current.id);
    },
    stop: () => {
      session.stop();
    },
  };
  for (const [name, run] of Object.entries(commands)) {
    stack.add(registerCommand(`nmos.chat.${name}`, "The chat failed", async (given) => run(given)));
  }
  stack.add(
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("nmos.chat")) session.refresh();
    }),
  );
  stack.add(
    engine.on("models/changed", () => {
      session.refreshModels().catch(() => {
        // The picker keeps what it knew; the next request tells what is wrong.
      });
    }),
  );
  return {
    ask,
    dispose: () => {
      stack.dispose();
    },
  };
}

/** Links of an answer open in the browser, and only web pages do: the model may write anything. */
async function openLink(url: string): Promise<void> {
  const uri = vscode.Uri.parse(url, true);
  if (uri.scheme === "https" || uri.scheme === "http") await vscode.env.openExternal(uri);
}
