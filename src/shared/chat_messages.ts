/** What the chat view and the extension say to each other. Both sides check what they get against this file. */
import type { ErrorCode } from "./errors";

export type AttachmentKind = "selection" | "file" | "problems";

/** An attachment as its chip shows it. */
export interface AttachmentLabel {
  kind: AttachmentKind;
  /** Such as `main.ts:10-20`. */
  label: string;
}

export interface Attachment extends AttachmentLabel {
  /** Relative to the workspace, `/`-separated. */
  path: string;
  languageId: string;
  content: string;
}

export type EntryStatus = "streaming" | "complete" | "stopped" | "failed";

/** One message of a conversation as it is shown; what is attached stays in the extension. */
export interface ShownEntry {
  id: number;
  role: "user" | "assistant";
  text: string;
  attachments: AttachmentLabel[];
  status: EntryStatus;
  /** Why an answer ended early (`stopped`, `failed`), and what helps. */
  error?: { code: ErrorCode; message: string };
  stats?: {
    tokens: number;
    tokensPerSecond: number;
    droppedMessages: number;
    /** Tokens that were guessed ahead, if any, those of them that were right, and what that saved. */
    guesses?: { drafted: number; accepted: number; savedSeconds: number };
  };
}

/** One message of a conversation as it is kept. */
export interface ChatEntry extends ShownEntry {
  attachments: Attachment[];
}

export interface ConversationSummary {
  id: string;
  title: string;
}

export interface ModelOption {
  ref: string;
  name: string;
  installed: boolean;
}

/** Everything the view shows, except text that is just arriving. */
export interface ChatState {
  conversation: { id: string; title: string; entries: ShownEntry[] };
  conversations: ConversationSummary[];
  attachments: AttachmentLabel[];
  draft: string;
  /** An answer in this conversation is under way. */
  busy: boolean;
  models: ModelOption[];
  /** The setting: a model's ref, or `auto`. */
  model: string;
  meter: { tokens: number; contextLength: number } | null;
}

export type ToView =
  | { type: "state"; state: ChatState }
  | { type: "text"; id: number; text: string }
  /** What the engine does before an answer begins, such as loading the model. */
  | { type: "progress"; text: string }
  | { type: "models"; models: ModelOption[]; model: string }
  | { type: "meter"; tokens: number; contextLength: number }
  | { type: "focus" };

/** What a user can do in the view. */
export type FromView =
  | { type: "ready" }
  /** The user has put the cursor into the box for questions. */
  | { type: "focused" }
  | { type: "send"; text: string }
  | { type: "resend"; id: number; text: string }
  | { type: "regenerate" }
  | { type: "stop" }
  | { type: "draft"; text: string }
  | { type: "attach"; kind: AttachmentKind }
  | { type: "detach"; index: number }
  | { type: "newConversation" }
  | { type: "openConversation"; id: string }
  | { type: "renameConversation"; id: string }
  | { type: "deleteConversation"; id: string }
  | { type: "chooseModel"; ref: string }
  | { type: "code"; action: CodeAction; code: string }
  | { type: "openLog" }
  | { type: "downloadModel" };

export type CodeAction = "copy" | "insert" | "apply";

type Shape = Record<string, "string" | "number" | readonly string[]>;

const shapes: Record<FromView["type"], Shape> = {
  ready: {},
  focused: {},
  send: { text: "string" },
  resend: { id: "number", text: "string" },
  regenerate: {},
  stop: {},
  draft: { text: "string" },
  attach: { kind: ["selection", "file", "problems"] },
  detach: { index: "number" },
  newConversation: {},
  openConversation: { id: "string" },
  renameConversation: { id: "string" },
  deleteConversation: { id: "string" },
  chooseModel: { ref: "string" },
  code: { action: ["copy", "insert", "apply"], code: "string" },
  openLog: {},
  downloadModel: {},
};

/** The message if it is one the view may send, with all its fields; else null. */
export function parseFromView(value: unknown): FromView | null {
  if (typeof value !== "object" || value === null) return null;
  const message = value as Record<string, unknown>;
  const type = message["type"];
  if (typeof type !== "string" || !Object.hasOwn(shapes, type)) return null;
  const fields = Object.entries(shapes[type as FromView["type"]]);
  const fits = fields.every(([name, expected]) => {
    const field = message[name];
    return typeof expected === "string" ? typeof field === expected : expected.includes(String(field));
  });
  return fits ? (message as FromView) : null;
}
