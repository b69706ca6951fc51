/**
 * Started by the tests as a process of its own: `FOLDER MIRROR ENTRY` downloads the model of the entry (JSON) into the
 * folder. Prints `waiting` when another process has the lock, and the path at the end.
 */
import { parseCatalogue } from "../../../src/engine/models/catalogue";
import { createModelStore } from "../../../src/engine/models/local_model_store";

const [modelsDirectory = "", mirror = "", json = ""] = process.argv.slice(2);
const catalogue = parseCatalogue([JSON.parse(json) as Record<string, unknown>]);
const store = createModelStore({
  modelsDirectory,
  totalMemoryBytes: 2 ** 34,
  proxy: "",
  noProxy: "",
  mirror,
  log: () => undefined,
  catalogue,
});
const path = await store.download(catalogue[0]?.id ?? "", {
  onProgress: ({ phase }) => {
    if (phase === "waiting") console.log("waiting");
  },
});
console.log(path);
