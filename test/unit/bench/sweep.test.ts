import { describe, expect, test } from "vitest";
import { serverKinds } from "../../../bench/speculation/llama_server_kinds";
import { fastestFor } from "../../../bench/speculation/sweep";

describe("the fastest settings", () => {
  const check = (name: string, tried: Record<string, Record<string, number>>, expected: Record<string, string[]>) => {
    test(name, () => {
      const given = new Map(
        Object.entries(tried).map(([setting, speeds]) => [setting, new Map(Object.entries(speeds))]),
      );
      expect(Object.fromEntries(fastestFor(given))).toEqual(expected);
    });
  };
  check("none of none", {}, {});
  check(
    "one for everything",
    { long: { edits: 9, chat: 8 }, short: { edits: 2, chat: 3 } },
    { long: ["edits", "chat"] },
  );
  check(
    "another one for each workload",
    { long: { edits: 9, chat: 1 }, short: { edits: 2, chat: 3 }, middle: { edits: 8, chat: 2 } },
    { long: ["edits"], short: ["chat"] },
  );
  check("the first of equal ones", { first: { edits: 5 }, second: { edits: 5 } }, { first: ["edits"] });
});

describe("llama-server's kinds of guessing", () => {
  const settings = (draft: Parameters<typeof serverKinds>[0]) =>
    serverKinds(draft).flatMap(({ byDefault, others }) => [byDefault, ...others]);

  test("every setting has a name of its own", () => {
    const names = settings({ path: "/small.gguf", threads: 2 }).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test("of each kind there are others than the default, but for no speculation", () => {
    const kinds = serverKinds({ path: "/small.gguf", threads: 2 });
    expect(kinds.map(({ byDefault }) => byDefault.name)).toEqual([
      "no speculation",
      "ngram-simple",
      "ngram-map-k",
      "ngram-mod",
      "draft-simple",
    ]);
    for (const { byDefault, others } of kinds.slice(1)) {
      expect(others.length).toBeGreaterThan(2);
      // A default leaves its lengths to llama-server.
      expect(byDefault.options.filter((option) => /-n-|-size-|-p-min/.test(option))).toEqual([]);
    }
  });

  test("only a draft model drafts", () => {
    expect(settings(undefined).some(({ options }) => options.includes("-md"))).toBe(false);
    const [first] = settings({ path: "/small.gguf", threads: 2 }).filter(({ options }) => options.includes("-md"));
    expect(first).toEqual({
      name: "draft-simple",
      options: ["--spec-type", "draft-simple", "-md", "/small.gguf", "--spec-draft-threads", "2", "-devd", "none"],
    });
  });
});
