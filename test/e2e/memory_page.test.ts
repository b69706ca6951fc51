import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { MemoryPicture, ModelPicture } from "../../src/shared/memory_messages";
import { evaluate } from "./evaluate";
import { Product } from "./product";
import type { Workbench } from "./workbench";

/** The page of the memory view as VS Code shows it, given pictures that no engine has to be in the state for. */
let product: Product;
let window: Workbench;

beforeAll(async () => {
  product = await Product.start({ files: { "readme.txt": "A workspace.\n" } });
  window = await product.openWindow();
  await window.statusBarItem("NMOS").first().waitFor();
  await window.runCommand("NMOS: Show Memory");
  await window.tabInFront("NMOS Memory");
  await window.webviewEditor.getByText("serving 1 window").waitFor();
});

afterAll(async () => {
  await product.stop();
});

afterEach(async ({ task }) => {
  if (task.result?.state === "fail") await product.keepEvidence(task.name);
});

/** Draws the pictures, one after the other, and evaluates an expression before the engine's own is drawn again. */
function drawn<T>(pictures: MemoryPicture[], expression: string): Promise<T> {
  return evaluate<T>(
    window.webviewEditor,
    `(() => {
      const draw = (picture) =>
        window.dispatchEvent(new MessageEvent("message", { data: { type: "picture", picture } }));
      const all = (selector) => [...document.querySelectorAll(selector)];
      const [first, ...others] = ${JSON.stringify(pictures)};
      draw(first);
      const before = all("main *");
      others.forEach(draw);
      return ${expression};
    })()`,
  );
}

function modelPicture(given: Partial<ModelPicture> = {}): ModelPicture {
  return {
    name: "Model",
    description: "2 layers.",
    columns: [
      { label: "1", description: "cut up", onCard: true, network: { card: 0.5, uploaded: 0.25, processor: 0.25 } },
      { label: "2", description: "in RAM", onCard: false, network: { card: 0, uploaded: 0, processor: 1 } },
      { label: "out", description: "head", onCard: true, network: null },
    ],
    runs: [{ layers: "1", attention: "on the card", card: "50%", uploaded: "25%", processor: "25%" }],
    facts: [{ label: "file", value: "/models/a.gguf" }],
    figures: [{ label: "passes", value: "1" }],
    predictions: [{ label: "1 token", value: "1.0 ms" }],
    reasons: ["Because."],
    ...given,
  };
}

function pictureOf(given: Partial<MemoryPicture> = {}): MemoryPicture {
  return {
    engine: "Engine",
    tiers: [
      {
        title: "RAM",
        detail: "4 MiB",
        description: "RAM: engine 1 MiB, free 3 MiB.",
        parts: [
          { kind: "engine", label: "engine", amount: "1 MiB", share: 0.25 },
          { kind: "free", label: "free", amount: "3 MiB", share: 0.75 },
        ],
      },
    ],
    loading: [{ label: "Loading m", percent: 50 }],
    summary: "1 model loaded.",
    models: [modelPicture()],
    ...given,
  };
}

describe("the page", () => {
  function check(name: string, pictures: MemoryPicture[], expression: string, expected: unknown): void {
    it(name, async () => {
      expect(await drawn(pictures, expression)).toEqual(expected);
    });
  }

  const grown = (selector: string) => `all(${JSON.stringify(selector)}).map((node) => getComputedStyle(node).flexGrow)`;
  check("divides a bar by its shares", [pictureOf()], grown(".bar > *"), ["0.25", "0.75"]);
  check("divides a network by its shares", [pictureOf()], grown(".column:first-child .network > *"), [
    "0.5",
    "0.25",
    "0.25",
  ]);
  check(
    "has pictures with their contents in words",
    [pictureOf()],
    `all("[role=img]").map((node) => node.getAttribute("aria-label"))`,
    ["RAM: engine 1 MiB, free 3 MiB.", "2 layers."],
  );
  check(
    "gives everything its look by pattern, not by colour alone",
    [pictureOf()],
    `new Set([".share.card", ".share.uploaded", ".share.processor"].map((kind) =>
      getComputedStyle(document.querySelector(kind)).backgroundImage)).size`,
    3,
  );
  check(
    "says when there is no engine, and nothing else",
    [pictureOf({ engine: "The engine is not running.", tiers: [], loading: [], summary: "", models: [] })],
    `document.querySelector("main").innerText.trim().split("\\n").filter((line) => line !== "")`,
    ["NMOS: memory", "The engine is not running."],
  );
  check(
    "keeps every element over a picture of the same shape",
    [pictureOf(), pictureOf({ models: [modelPicture({ figures: [{ label: "passes", value: "2" }] })] })],
    `[all("main *").every((node, index) => node === before[index]), document.body.innerText.includes("passes\\n2")]`,
    [true, true],
  );
  check(
    "takes away what is gone",
    [pictureOf(), pictureOf({ loading: [], models: [] })],
    `all("progress, .model").length`,
    0,
  );
  check(
    "fits a narrow tab",
    [
      pictureOf({
        models: [modelPicture({ columns: Array.from({ length: 27 }, () => modelPicture().columns).flat() })],
      }),
    ],
    `(() => {
      const main = document.querySelector("main");
      main.style.width = "240px";
      document.querySelector("details").open = true;
      const fits = main.scrollWidth <= main.clientWidth;
      main.style.width = "";
      return fits;
    })()`,
    true,
  );

  const hostile = '<img src=x onerror="document.body.dataset.injected = 1"><script>1</script>';
  check(
    "takes markup in names, paths and reasons for text",
    [
      pictureOf({
        engine: hostile,
        loading: [{ label: hostile, percent: 1 }],
        models: [
          modelPicture({
            name: hostile,
            description: hostile,
            facts: [{ label: hostile, value: hostile }],
            reasons: [hostile],
          }),
        ],
      }),
    ],
    `[all("main img, main script, main [onerror]").length, document.body.dataset.injected ?? "no",
      document.querySelector(".model h3").textContent]`,
    [0, "no", hostile],
  );
});
