import { expect, it } from "vitest";
import { expectCode, longPrompt, openBench, openEngine } from "./support";

const engine = openEngine();

it("goes back to a former prompt without computing it again", async () => {
  const bench = await openBench(engine);
  const session = await bench.session();
  expect(await session.save({ priority: "warm" })).toBeNull();
  const prompt = await longPrompt(bench, 60);
  const continued = { tokens: prompt, priority: "chat", maxTokens: 8 } as const;
  await session.prefill({ tokens: prompt.slice(0, 50), priority: "warm" });
  const snapshot = await session.save({ priority: "warm" });
  if (!snapshot) throw new Error("Expected a snapshot of a cache that holds tokens.");
  const { text } = await session.generate(continued);
  expect(snapshot.tokens).toEqual(prompt.slice(0, 50));
  expect(snapshot.bytes).toBeGreaterThan(50);
  await session.prefill({ tokens: (await longPrompt(bench, 70)).reverse(), priority: "warm" });
  await session.restore(snapshot, { priority: "suggest" });
  expect(session.cachedTokens()).toEqual(snapshot.tokens);
  expect(await session.generate(continued)).toMatchObject({ reusedTokens: 50, computedTokens: 10, text });
  snapshot.close();
  await expectCode(session.restore(snapshot, { priority: "suggest" }), "CLOSED");
  await expectCode(session.restore({ ...snapshot }, { priority: "suggest" }), "INVALID_ARGUMENT");
  await session.close();
});
