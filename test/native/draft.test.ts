import { expect, it } from "vitest";
import type { GenerateOptions, NativeModel, NativeSession } from "../../src/engine/native/addon";
import { expectCode, loadModel, openBench, openEngine } from "./support";

const engine = openEngine();

it("has another model guess an answer, which stays what it is", async () => {
  const bench = await openBench(engine);
  const draftModel = await loadModel(engine);
  const draft = await draftModel.createSession({ contextLength: 512, threads: 1, draftsFor: bench.model });
  const session = await bench.session();
  const tokens = await bench.tokens("The three largest cities of Europe are");
  const asked = { tokens, priority: "chat", maxTokens: 12 } as const;
  const plain = await session.generate({ ...asked, speculation: "off" });
  const guessed = await session.generate({ ...asked, draft });
  expect(guessed.tokens).toEqual(plain.tokens);
  // As slow as the model itself, it is only asked to find that out.
  expect(guessed).toMatchObject({ draftModelPasses: 2, draftModelTokens: 0, acceptedDraftModelTokens: 0 });
  expect(plain).toMatchObject({ draftModelPasses: 0, savedMs: 0 });

  await draft.close();
  expect(await session.generate({ ...asked, draft })).toMatchObject({ draftModelPasses: 0, text: plain.text });
  await draftModel.close();
  await session.close();
});

/**
 * Guessed tokens of an answer that repeats nothing, and of the same one when it is asked for again after `between`. The model is
 * loaded anew, so that nothing says yet that a pass over several tokens is too dear here.
 */
async function askedAgain(between: (session: NativeSession, asked: GenerateOptions) => Promise<unknown>) {
  const bench = await openBench(engine);
  const session = await bench.session();
  const tokens = await bench.tokens("The three largest cities of Europe are");
  const asked = { tokens, priority: "chat", maxTokens: 48 } as const;
  const plain = await session.generate({ ...asked, speculation: "off" });
  const first = await session.generate(asked);
  await between(session, asked);
  const again = await session.generate(asked);
  for (const { tokens: answer, decodePasses, acceptedTokens } of [first, again]) {
    expect(answer).toEqual(plain.tokens);
    expect(decodePasses + acceptedTokens).toBe(plain.decodePasses);
  }
  await bench.model.close();
  return { first: first.draftedTokens, again: again.draftedTokens };
}

it("guesses from earlier answers when it is asked again", async () => {
  const { first, again } = await askedAgain(() => Promise.resolve());
  expect(first).toBe(0);
  expect(again).toBeGreaterThan(0);
});

it("forgets earlier answers when speculation is off", async () => {
  const { again } = await askedAgain((session, asked) => session.generate({ ...asked, speculation: "off" }));
  expect(again).toBe(0);
});

it("refuses what does not draft for the model", async () => {
  const bench = await openBench(engine);
  const session = await bench.session();
  const asked = { tokens: await bench.tokens("Hello"), priority: "chat", maxTokens: 2 } as const;
  const draftsFor = (model: unknown) =>
    bench.model.createSession({ contextLength: 64, draftsFor: model as NativeModel });
  await expectCode(draftsFor(bench.model), "INVALID_ARGUMENT", "the same model");
  await expectCode(draftsFor({}), "INVALID_ARGUMENT", "createSession.draftsFor", "a Model of this addon");
  await expectCode(draftsFor(session), "INVALID_ARGUMENT", "a Model of this addon");
  const generate = (draft: unknown) => session.generate({ ...asked, draft: draft as NativeSession });
  await expectCode(generate(await bench.session()), "INVALID_ARGUMENT", "created for this session's model");
  await expectCode(generate(bench.model), "INVALID_ARGUMENT", "generate.draft", "a Session of this addon");
  await expectCode(generate(Object.create(Object.getPrototypeOf(session) as object)), "INVALID_ARGUMENT");
  expect((await session.generate(asked)).tokens).toHaveLength(2);
});
