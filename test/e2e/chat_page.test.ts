import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ChatState, ShownEntry, ToView } from "../../src/shared/chat_messages";
import { evaluate } from "./evaluate";
import { Product } from "./product";
import type { Workbench } from "./workbench";

/** The page of the chat as VS Code shows it, given messages that no model has to be talked into. */
let product: Product;
let window: Workbench;

beforeAll(async () => {
  product = await Product.start({ files: { "readme.txt": "A workspace.\n" } });
  window = await product.openWindow();
  await window.statusBarItem("NMOS").first().waitFor();
  await window.runCommand("NMOS: Focus on Chat View");
  // Nothing of the extension's comes after this that would replace what the tests show.
  await window.webviewView.locator(".welcome").waitFor();
});

afterAll(async () => {
  await product.stop();
});

afterEach(async ({ task }) => {
  if (task.result?.state === "fail") await product.keepEvidence(task.name);
});

/** Says something to the page as the extension does. */
function tell(message: ToView): Promise<void> {
  return evaluate(window.webviewView, `window.postMessage(${JSON.stringify(message)}, "*")`);
}

async function show(entries: ShownEntry[]): Promise<void> {
  const conversation = { id: "test", title: "Test", entries };
  const nothing = { conversations: [], attachments: [], draft: "", busy: false, models: [], meter: null };
  const state: ChatState = { conversation, ...nothing, model: "auto" };
  await tell({ type: "state", state });
}

/** Everything here would run code, load something or leave the page if it were more than text. */
const hostile = [
  '<img src=x onerror="document.body.dataset.injected = 1">',
  '<script>document.body.dataset.injected = "1"</script>',
  '<a href="javascript:void 0" onclick="document.body.dataset.injected = 1">raw</a>',
  "![picture](https://example.com/picture.png)",
  "![picture](data:image/svg+xml;base64,PHN2Zy8+)",
  "[script](javascript:alert)",
  "[command](command:nmos.restartEngine)",
  "[file](vscode-file://vscode-app/etc/passwd)",
  '```"><img/src=x/onerror=document.body.dataset.injected=1>\ncode\n```',
  "<style>body { display: none }</style>",
  '<iframe src="https://example.com"></iframe>',
];
const allowed = "[page](https://example.com/page)";
const text = [...hostile, allowed].join("\n\n");

describe("text with markup of its own", () => {
  const cases: [what: string, role: ShownEntry["role"], status: ShownEntry["status"], links: string[]][] = [
    ["a finished answer", "assistant", "complete", ["https://example.com/page"]],
    ["an answer that streams in", "assistant", "streaming", ["https://example.com/page"]],
    ["a question", "user", "complete", []],
  ];

  it.each(cases)("stays text in %s", async (what, role, status, links) => {
    const begin = status === "streaming" ? "" : text;
    const id = cases.findIndex(([name]) => name === what);
    await show([{ id, role, text: begin, attachments: [], status }]);
    if (status === "streaming") for (const part of text.split(/(?<=\n)/)) await tell({ type: "text", id, text: part });
    const message = window.webviewView.locator(`.message.${role}.${status} .text`);
    await message.getByText("page").last().waitFor();
    expect(await message.innerText()).toContain('<img src=x onerror="document.body.dataset.injected = 1">');
    expect(await message.locator("img, script, style, iframe, object, form").count()).toBe(0);
    expect(await message.locator("[onerror], [onclick], [style], [src]").count()).toBe(0);
    const hrefs = (await message.locator("[href]").all()).map((link) => link.getAttribute("href"));
    expect(await Promise.all(hrefs)).toEqual(links);
    expect(await window.webviewView.locator("body[data-injected]").count()).toBe(0);
  });
});

describe("the content security policy", () => {
  it("lets in the extension's own style, font and script alone", async () => {
    const policy = window.webviewView.locator("meta[http-equiv='Content-Security-Policy']");
    const directives = (await policy.getAttribute("content"))?.split("; ") ?? [];
    expect(directives.map((directive) => directive.split(" ")[0])).toEqual([
      "default-src",
      "style-src",
      "font-src",
      "script-src",
      "base-uri",
      "form-action",
    ]);
    expect(directives).toEqual(expect.arrayContaining(["default-src 'none'", "base-uri 'none'", "form-action 'none'"]));
    expect(directives.join("; ")).toMatch(/script-src 'nonce-[0-9a-f]{32}';/);
    expect(directives.join("; ")).not.toMatch(/unsafe|data:|\*(?!\.)/);
  });

  const violations: [markup: string, directive: string][] = [
    ['<p onclick="document.body.dataset.injected = 1"></p>', "script-src-attr"],
    ['<img src="https://example.com/picture.png">', "img-src"],
    ['<iframe src="https://example.com"></iframe>', "frame-src"],
  ];
  // As if something had got past the sanitizer.
  it.each(violations)("stops %s", async (markup, directive) => {
    const stopped = evaluate<string>(
      window.webviewView,
      `new Promise((resolve) => {
      const report = (event) => resolve(event.effectiveDirective);
      document.addEventListener("securitypolicyviolation", report, { once: true });
      document.body.insertAdjacentHTML("beforeend", ${JSON.stringify(markup)});
    })`,
    );
    expect(await stopped).toBe(directive);
  });
});
