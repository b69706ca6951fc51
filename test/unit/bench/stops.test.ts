import { expect, test, vi } from "vitest";
import { Stops } from "../../../bench/harness/stops";

test("what was begun last ends first, and only once", async () => {
  const ended: string[] = [];
  const stops = new Stops();
  stops.add(() => void ended.push("first"));
  const second = stops.add(() => void ended.push("second"));
  stops.add(() => void ended.push("third"));
  await second();
  await second();
  await stops.run();
  await stops.run();
  expect(ended).toEqual(["second", "third", "first"]);
});

test("a failure does not keep the others from ending", async () => {
  const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const ended: string[] = [];
  const stops = new Stops();
  stops.add(() => void ended.push("first"));
  stops.add(() => Promise.reject(new Error("cannot end")));
  await stops.run();
  expect(ended).toEqual(["first"]);
  expect(log).toHaveBeenCalledOnce();
  log.mockRestore();
});
