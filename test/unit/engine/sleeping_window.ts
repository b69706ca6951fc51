/**
 * Started by the tests as a process of its own, in the environment of a host fixture: `ROOT MODEL COMMAND` asks the engine for a
 * chat as a window does. Prints `began` with the first text and then, as JSON, what came of it and the states of the client.
 */
import { createEngineClient } from "../../../src/engine/client/create_engine_client";
import { toEngineError } from "../../../src/shared/errors";

const [extensionRoot = "", model = "", content = ""] = process.argv.slice(2);
const client = createEngineClient({ extensionRoot, clientName: "sleeping window", settings: {} });
const states: string[] = [];
client.onStateChanged(({ kind }) => states.push(kind));
let hasBegun = false;
const onProgress = (): void => {
  if (!hasBegun) process.stdout.write("began\n");
  hasBegun = true;
};
const asked = client.request("chat/generate", { model, messages: [{ role: "user", content }] }, { onProgress });
void asked
  .then(
    ({ text }) => ({ text }),
    (thrown: unknown) => ({ code: toEngineError(thrown).code }),
  )
  .then((outcome) => {
    process.stdout.write(`${JSON.stringify({ ...outcome, states })}\n`);
    client.dispose();
  });
