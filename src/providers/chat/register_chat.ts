import * as vscode from "vscode";
import { readChatSettings } from "../../config/settings.generated";
import type { EngineClient } from "../../engine/client/engine_client";
import type { AttachmentKind, FromView } from "../../shared/chat_messages";
import { DisposableStack, type Disposable } from "../../shared/disposable";
import type { EditReview } from "../edit_review";
import type { EngineView } from "../engine_view";
import { loadingText } from "../model_text";
import { registerCommand, reportFailure } from "../report_failure";
import { attachmentFromEditor } from "./attachments";
import { ChatSession } from "./chat_session";
import { ChatView } from "./chat_view";
import { runCodeAction } from "./code_actions";
import { ConversationStore } from "./conversation_store";

/** The chat as other features use it. */
export interface Chat extends Disposable {
  /** Opens the sidebar and asks in the current conversation, in a new one while it is answering. Resolves with the end. */
  ask(text: string): Promise<void>;
  /** A question that begins like this may come next. The function returned says that it is not so any more. */
  prepareFor(beginning: string): () => void;
}

/** The chat sidebar and its commands. */
export function registerChat(
  context: vscode.ExtensionContext,
  engine: EngineClient,
  engineView: EngineView,
  review: EditReview,
): Chat {
  const stack = new DisposableStack();
  const store = new ConversationStore(context.workspaceState);
  const session = stack.add(
    new ChatSession({
      engine,
      store,
      settings: readChatSettings,
      isLoaded: (model) => engineView.status?.models.some(({ ref, path }) => ref === model || path === model) ?? false,
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
    await session.ask(text);
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
        refreshModels();
        return;
      case "focused":
        session.prepare();
        return;
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
        return remove(message.id);
      case "chooseModel":
        await vscode.workspace
          .getConfiguration("nmos")
          .update("chat.model", message.ref, vscode.ConfigurationTarget.Global);
        return;
      case "code":
        return runCodeAction(message.action, message.code, review);
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

  function refreshModels(): void {
    session.refreshModels().catch(() => {
      // The picker keeps what it knew; the next question tells what is wrong.
    });
  }

  /** There is no way back, so a conversation with something in it goes only after a question. */
  async function remove(id: string): Promise<void> {
    const { conversations, conversation } = session.state();
    const title = conversations.find((one) => one.id === id)?.title;
    if (title === undefined) return;
    if (conversation.id !== id || conversation.entries.length > 0) {
      const chosen = await vscode.window.showWarningMessage(`Delete “${title}”?`, { modal: true }, "Delete");
      if (chosen !== "Delete") return;
    }
    session.deleteConversation(id);
  }

  async function askInBox(given: unknown): Promise<void> {
    const text = typeof given === "string" ? given : await question();
    if (text) await ask(text);
  }

  /** The conversation is computed while the user writes. */
  async function question(): Promise<string | undefined> {
    const stop = session.prepareToAsk();
    try {
      return await vscode.window.showInputBox({ title: "Ask NMOS" });
    } finally {
      stop();
    }
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
    clear: () => remove(store.current.id),
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
    vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      const isTyped = contentChanges.length > 0 && document === vscode.window.activeTextEditor?.document;
      if (isTyped) session.leave();
    }),
  );
  stack.add(engine.on("models/changed", refreshModels));
  stack.add(
    engineView.onChanged(() => {
      session.showProgress(loadingText(engineView.status) ?? "Thinking");
    }),
  );
  return {
    ask,
    prepareFor: (beginning) => session.prepareFor(beginning),
    dispose: () => {
      stack.dispose();
    },
  };
}
