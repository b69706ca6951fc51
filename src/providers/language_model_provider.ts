import * as vscode from "vscode";
import { readChatSettings, readEngineSettings } from "../config/settings.generated";
import type { EngineClient } from "../engine/client/engine_client";
import type { ChatMessage } from "../shared/chat";
import { DisposableStack, type Disposable } from "../shared/disposable";
import { DEFAULT_CONTEXT_LENGTH } from "../shared/engine_settings";
import { toEngineError } from "../shared/errors";
import type { ModelState } from "../shared/models";
import { withAbortSignal } from "./abort_signal";
import type { EngineView } from "./engine_view";
import { samplingFromOptions } from "./model_options";

const knownKey = "nmos.languageModels";

/** The role that VS Code gives system messages; not in the stable API. */
const systemRole = 3;

/**
 * Offers the installed models to other extensions through VS Code's language model API. The list of the last time is
 * kept, so that showing a list of models does not start the engine.
 */
export function registerLanguageModelProvider(
  context: vscode.ExtensionContext,
  engine: EngineClient,
  view: EngineView,
): Disposable {
  const stack = new DisposableStack();
  const changed = stack.add(new vscode.EventEmitter<void>());
  let known = context.globalState.get<vscode.LanguageModelChatInformation[]>(knownKey, []);

  function update(models: readonly ModelState[]): void {
    const next = models.filter((model) => model.installed).map((model) => information(model, view));
    if (JSON.stringify(next) === JSON.stringify(known)) return;
    known = next;
    void context.globalState.update(knownKey, next);
    changed.fire();
  }

  stack.add(
    view.onChanged(() => {
      if (view.models) update(view.models);
    }),
  );

  const provider: vscode.LanguageModelChatProvider = {
    onDidChangeLanguageModelChatInformation: changed.event,

    async provideLanguageModelChatInformation({ silent }) {
      if (!silent) update(await engine.request("models/list", null));
      return known;
    },

    async provideLanguageModelChatResponse(model, messages, options, progress, token) {
      const { maxTokens, sampling } = samplingFromOptions(options.modelOptions ?? {}, model.maxOutputTokens);
      try {
        await withAbortSignal(token, (signal) =>
          engine.request(
            "chat/generate",
            { model: model.id, messages: messages.map(chatMessage), maxTokens, sampling },
            {
              signal,
              onProgress: (text) => {
                progress.report(new vscode.LanguageModelTextPart(text));
              },
            },
          ),
        );
      } catch (thrown) {
        const error = toEngineError(thrown);
        if (error.code === "CANCELLED") throw new vscode.CancellationError();
        if (error.code === "MODEL_NOT_INSTALLED" || error.code === "MODEL_UNKNOWN") {
          throw vscode.LanguageModelError.NotFound(error.message);
        }
        throw error;
      }
    },

    async provideTokenCount(model, text, token) {
      const message: ChatMessage = typeof text === "string" ? { role: "user", content: text } : chatMessage(text);
      const { tokens } = await withAbortSignal(token, (signal) =>
        engine.request("chat/countTokens", { model: model.id, messages: [message] }, { signal }),
      );
      return tokens;
    },
  };
  // Editors built on older versions of VS Code declare the version but lack the function.
  const { lm } = vscode as { lm?: Partial<typeof vscode.lm> };
  if (lm?.registerLanguageModelChatProvider) stack.add(lm.registerLanguageModelChatProvider("nmos", provider));
  return stack;
}

function information(model: ModelState, view: EngineView): vscode.LanguageModelChatInformation {
  const loaded = view.status?.models.find((candidate) => candidate.ref === model.ref);
  const contextLength = loaded?.placement.contextLength ?? expectedContextLength(model);
  const maxOutputTokens = Math.min(readChatSettings().maxTokens, Math.floor(contextLength / 2));
  return {
    id: model.ref,
    name: model.name,
    family: model.ref,
    version: "1",
    tooltip: `${model.name}, on this machine`,
    detail: "NMOS",
    maxInputTokens: contextLength - maxOutputTokens,
    maxOutputTokens,
    capabilities: {},
  };
}

/** What the engine will load the model with; less when memory is short. A file that was never loaded tells no limit. */
function expectedContextLength({ contextLength }: ModelState): number {
  const asked = readEngineSettings().contextLength || DEFAULT_CONTEXT_LENGTH;
  return contextLength === 0 ? asked : Math.min(asked, contextLength);
}

/** Models here read text only: other parts are left out. */
function chatMessage({ role, content }: vscode.LanguageModelChatRequestMessage): ChatMessage {
  const text = content.map((part) => (part instanceof vscode.LanguageModelTextPart ? part.value : "")).join("");
  if (role === vscode.LanguageModelChatMessageRole.Assistant) return { role: "assistant", content: text };
  return { role: (role as number) === systemRole ? "system" : "user", content: text };
}
