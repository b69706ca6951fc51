/** The chat's page: shows what the extension says and tells it what the user does. It keeps no state of its own. */
import type { ToView } from "../src/shared/chat_messages";
import { Composer } from "./composer";
import { Header } from "./header";
import { send } from "./host";
import { MessageList } from "./message_list";

const header = new Header();
const messages = new MessageList();
const composer = new Composer();
document.body.append(header.root, messages.root, composer.root, messages.announcer);

function receive(message: ToView): void {
  switch (message.type) {
    case "state":
      header.show(message.state);
      messages.show(message.state.conversation.id, message.state.conversation.entries, message.state.busy);
      composer.show(message.state);
      return;
    case "text":
      messages.append(message.id, message.text);
      return;
    case "progress":
      messages.showProgress(message.text);
      return;
    case "models":
      header.showModels(message.models, message.model);
      return;
    case "meter":
      composer.showMeter(message.tokens, message.contextLength);
      return;
    case "focus":
      composer.focus();
  }
}

window.addEventListener("message", (event: MessageEvent<ToView>) => {
  receive(event.data);
});
send({ type: "ready" });
