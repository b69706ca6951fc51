import { describe, expect, test } from "vitest";
import { costOfWidth, fromModel, fromText, secondsOf, withoutDrafts } from "../../../bench/speculation/fixed_drafting";
import { parseRecording, type Recorded } from "../../../bench/speculation/replayed_answers";

/** A letter a token. */
function recorded(prompt: string, answer: string, guesses = answer, probability = 0.9): Recorded {
  const tokens = (text: string) => Array.from(text, (letter) => letter.charCodeAt(0));
  return {
    prompt: tokens(prompt),
    answer: tokens(answer),
    guesses: tokens(guesses).map((token) => ({ token, probability })),
  };
}

describe("the time of an answer", () => {
  /** A pass takes a second for each token in it, and a quarter over the draft model. */
  const costs = { pass: (width: number) => width, draftPass: 0.25 };
  const check = (name: string, one: Recorded, drafter: Parameters<typeof secondsOf>[1], expected: number) => {
    test(name, () => {
      expect(secondsOf(one, drafter, costs)).toBeCloseTo(expected);
    });
  };
  check("one token a pass, the first with the prompt", recorded("p", "abcde"), withoutDrafts, 4);
  // b and c are right, d comes with the pass; then e.
  check("all guesses right", recorded("p", "abcde"), fromModel(2, 0), 2 * 0.25 + 3 + 0.25 + 2);
  // c is guessed wrong: it comes with the pass over b; then d and e.
  check("a wrong guess", recorded("p", "abcde", "abXde"), fromModel(2, 0), 2 * 0.25 + 3 + 2 * 0.25 + 3);
  check("guesses that are not sure enough", recorded("p", "abc", "abc", 0.4), fromModel(2, 0.5), 2 * (0.25 + 1));
  // Behind "bc" stood "dea": one pass over c and these, though the answer ends before.
  check("from the text", recorded("abcdeab", "cde"), fromText(2, 3), 4);
  check("from a text that has nothing like it", recorded("xyz", "abc"), fromText(2, 3), 2);
});

test("the cost of a width between those that were measured, and beyond", () => {
  const cost = costOfWidth(
    new Map([
      [4, 40],
      [1, 10],
      [2, 16],
    ]),
  );
  expect([1, 2, 3, 4, 5].map(cost)).toEqual([10, 16, 28, 40, 52]);
});

test("a recording has three lines for each answer", () => {
  expect(parseRecording("1 2 \n3 4 \n3:0.5 5:0.25 \n6 \n7 \n7:1 \n")).toEqual([
    {
      prompt: [1, 2],
      answer: [3, 4],
      guesses: [
        { token: 3, probability: 0.5 },
        { token: 5, probability: 0.25 },
      ],
    },
    { prompt: [6], answer: [7], guesses: [{ token: 7, probability: 1 }] },
  ]);
});
