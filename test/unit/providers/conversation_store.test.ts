import { describe, expect, test } from "vitest";
import { ask, type Conversation } from "../../../src/providers/chat/conversation";
import { ConversationStore } from "../../../src/providers/chat/conversation_store";

function open(kept: unknown): { store: ConversationStore; kept: () => Conversation[] } {
  let value = kept;
  const store = new ConversationStore({
    get: () => value,
    update: (_, next) => Promise.resolve(void (value = next)),
  });
  return { store, kept: () => (value as { conversations: Conversation[] }).conversations };
}

describe("what was kept is damaged", () => {
  function check(kept: unknown, titles: string[]): void {
    test(JSON.stringify({ kept }), () => {
      expect(
        open(kept)
          .store.summaries()
          .map(({ title }) => title),
      ).toEqual(titles);
    });
  }
  const good = { id: "a", title: "A", entries: [] };
  check(undefined, ["New conversation"]);
  check(null, ["New conversation"]);
  check("text", ["New conversation"]);
  check({ current: 1, conversations: {} }, ["New conversation"]);
  check({ conversations: [null, 1, { id: "b" }, good] }, ["A"]);
  check({ current: "gone", conversations: [good] }, ["A"]);
});

describe("conversations kept", () => {
  test("an empty one is not, and starting one twice makes one", () => {
    const { store, kept } = open(undefined);
    expect(store.create()).toBe(store.create());
    expect(kept()).toEqual([]);
  });

  function fill(count: number, length: number): Conversation[] {
    const { store, kept } = open(undefined);
    for (let index = 0; index < count; index++) store.put(ask(store.create(), `${index}`.padEnd(length, "."), []));
    return kept();
  }

  test("no more than 30, the most recent", () => {
    const kept = fill(40, 2);
    expect(kept).toHaveLength(30);
    expect(kept[0]?.title).toBe("39");
  });

  test("no more text than VS Code can be asked to keep, but always the last one", () => {
    expect(fill(5, 400_000)).toHaveLength(2);
    expect(fill(2, 4_000_000)).toHaveLength(1);
  });
});

describe("deleting", () => {
  test("the current one shows the most recent of the others", () => {
    const { store } = open(undefined);
    store.put(ask(store.create(), "one", []));
    store.put(ask(store.create(), "two", []));
    store.delete(store.current.id);
    expect(store.current.title).toBe("one");
    store.delete(store.current.id);
    expect(store.current.entries).toEqual([]);
  });
});

test("a name that the user gave outlives a changed first question", async () => {
  const { resend } = await import("../../../src/providers/chat/conversation");
  const conversation = { ...ask({ id: "a", title: "", entries: [] }, "one", []), title: "Mine" };
  expect(resend(conversation, 1, "two").title).toBe("Mine");
});
