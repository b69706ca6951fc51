import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { commands, fake, Position, Range, window, type FakeDocument } from "./fake_vscode";

vi.mock("vscode", () => import("./fake_vscode"));

/** The engine is loading a model. */
const view: unknown = {
  status: { loading: [{ ref: "m", fraction: 0.5 }] },
  onChanged: () => ({ dispose: () => undefined }),
};

const { registerEditReview } = await import("../../../src/providers/edit_review");
type Review = ReturnType<typeof registerEditReview>;
type Context = Parameters<Review["propose"]>[0];

const source = "import os\n\ndef f(x):\n    return x\n\nprint(f(1))\n";

describe("an edit proposed as a diff", () => {
  let review: Review;
  let document: FakeDocument;

  beforeEach(() => {
    fake.reset();
    document = fake.open("/ws/a.py", source);
    review = registerEditReview(view as Parameters<typeof registerEditReview>[0]);
  });

  afterEach(() => {
    review.dispose();
  });

  /** Proposes to replace the function. */
  function propose(write: Parameters<Review["propose"]>[2]): Promise<void> {
    const range = new Range(new Position(2, 0), new Position(3, 12));
    const context: unknown = { document, range, path: "a.py", code: document.getText(range) };
    return review.propose(context as Context, "Fix", write);
  }

  const proposal = "def f(x):\n    return x + 1";
  const whole = source.replace("return x", "return x + 1");

  test("nothing changes until it is accepted", async () => {
    await propose(() => Promise.resolve(proposal));
    expect(document.text).toBe(source);
    expect(fake.proposed()).toBe(whole);
    expect(fake.context.get("nmos.editPending")).toBe(true);
  });

  test("accepting changes the code and closes the diff", async () => {
    await propose(() => Promise.resolve(proposal));
    await commands.executeCommand("nmos.acceptEdit");
    expect(document.text).toBe(whole);
    expect(fake.tabs).toEqual([]);
    expect(fake.context.get("nmos.editPending")).toBe(false);
  });

  test("rejecting closes the diff and changes nothing", async () => {
    await propose(() => Promise.resolve(proposal));
    await commands.executeCommand("nmos.rejectEdit");
    expect(document.text).toBe(source);
    expect(fake.tabs).toEqual([]);
    await commands.executeCommand("nmos.acceptEdit");
    expect(document.text).toBe(source);
  });

  test("closing the diff rejects", async () => {
    await propose(() => Promise.resolve(proposal));
    await window.tabGroups.close(fake.tabs);
    expect(fake.context.get("nmos.editPending")).toBe(false);
    await commands.executeCommand("nmos.acceptEdit");
    expect(document.text).toBe(source);
  });

  test("code that moved meanwhile is changed where it is now", async () => {
    await propose(() => Promise.resolve(proposal));
    document.edit("import os", "# a new line\nimport os");
    await commands.executeCommand("nmos.acceptEdit");
    expect(document.text).toBe(`# a new line\n${whole}`);
  });

  test("of several places that look the same, the one it was proposed for is changed", async () => {
    document.text = "a\nx\nx\nb\n";
    const context: unknown = {
      document,
      range: new Range(new Position(2, 0), new Position(2, 1)),
      path: "a.py",
      code: "x",
    };
    await review.propose(context as Context, "Fix", () => Promise.resolve("y"));
    document.edit("a", "x");
    document.edit("x\nx", "x\nx\nx");
    document.edit("b", "x");
    await commands.executeCommand("nmos.acceptEdit");
    expect(document.text.split("\n")[3]).toBe("y");
  });

  function checkRefused(name: string, from: string, to: string): void {
    test(`left alone: ${name}`, async () => {
      await propose(() => Promise.resolve(proposal));
      document.edit(from, to);
      const changed = document.text;
      await commands.executeCommand("nmos.acceptEdit");
      expect(document.text).toBe(changed);
      expect(fake.messages[0]).toContain("has changed");
    });
  }
  checkRefused("a line that was continued", "return x", "return x + 2");
  checkRefused("a line that was indented", "def f(x)", "  def f(x)");
  checkRefused("code that is gone", "def f(x):\n    return x\n", "");

  test("code that changed before the model was asked is not sent", async () => {
    const range = new Range(new Position(2, 0), new Position(3, 12));
    const context: unknown = { document, range, path: "a.py", code: document.getText(range) };
    document.edit("import os", "");
    document.edit("return x", "return y");
    let asked = false;
    await review.propose(context as Context, "Fix", () => {
      asked = true;
      return Promise.resolve(proposal);
    });
    expect(asked).toBe(false);
    expect(fake.messages).toEqual(["The code has changed meanwhile. Run the command again."]);
  });

  test("accepting twice changes once", async () => {
    await propose(() => Promise.resolve("def f(x):\n    return x\n\ndef f(x):\n    return x"));
    await Promise.all([commands.executeCommand("nmos.acceptEdit"), commands.executeCommand("nmos.acceptEdit")]);
    expect(document.text.match(/def f/g)).toHaveLength(2);
  });

  test("a diff that moves to another group stays", async () => {
    await propose(() => Promise.resolve(proposal));
    const [tab] = fake.tabs;
    if (!tab) throw new Error("no diff");
    fake.tabs.push({ ...tab });
    await window.tabGroups.close([tab]);
    await commands.executeCommand("nmos.acceptEdit");
    expect(document.text).toBe(whole);
  });

  test("line ends of Windows", async () => {
    document.text = source.replaceAll("\n", "\r\n");
    await propose(() => Promise.resolve("def f(x):\n    return x"));
    expect(fake.messages).toEqual(["The model proposed no change."]);
    await propose(() => Promise.resolve(proposal));
    await commands.executeCommand("nmos.acceptEdit");
    expect(document.text).toBe(whole.replaceAll("\n", "\r\n"));
  });

  test("code that changed meanwhile is left alone, and the diff stays", async () => {
    await propose(() => Promise.resolve(proposal));
    document.text = source.replace("return x", "return 2 * x");
    await commands.executeCommand("nmos.acceptEdit");
    expect(document.text).toBe(source.replace("return x", "return 2 * x"));
    expect(fake.tabs).toHaveLength(1);
    expect(fake.messages[0]).toContain("has changed");
  });

  test("what is written shows in the diff while it is written", async () => {
    let write: ((text: string) => void) | undefined;
    let finish: ((text: string) => void) | undefined;
    const proposed = propose((_, onText) => {
      write = onText;
      return new Promise((resolve) => (finish = resolve));
    });
    await expect.poll(() => write).toBeDefined();
    write?.("def f(x):\n    ret");
    expect(fake.proposed()).toBe(source.replace("return x", "ret"));
    await commands.executeCommand("nmos.acceptEdit");
    expect(document.text).toBe(source);
    finish?.(proposal);
    await proposed;
    expect(fake.proposed()).toBe(whole);
  });

  test("cancelling ends the writing and closes the diff", async () => {
    let aborted = false;
    const proposed = propose(
      (signal) =>
        new Promise((resolve) => {
          signal.addEventListener("abort", () => {
            aborted = true;
            resolve("half of");
          });
        }),
    );
    await expect.poll(() => fake.tabs.length).toBe(1);
    fake.cancellation.fire(undefined);
    await proposed;
    expect(aborted).toBe(true);
    expect(fake.tabs).toEqual([]);
    expect(fake.context.get("nmos.editPending")).toBe(false);
  });

  test("the next proposal takes the place of the one before", async () => {
    await propose(() => Promise.resolve("def f(x):\n    return 0"));
    await propose(() => Promise.resolve(proposal));
    expect(fake.tabs).toHaveLength(1);
    await commands.executeCommand("nmos.acceptEdit");
    expect(document.text).toBe(whole);
  });

  test.each(["", "def f(x):\n    return x\n"])("a proposal without a change says so: %j", async (text) => {
    await propose(() => Promise.resolve(text));
    expect(fake.tabs).toEqual([]);
    expect(fake.messages).toEqual(["The model proposed no change."]);
  });

  test("a failure closes the diff and reaches the caller", async () => {
    await expect(propose(() => Promise.reject(new Error("engine died")))).rejects.toThrow("engine died");
    expect(fake.tabs).toEqual([]);
  });
});
