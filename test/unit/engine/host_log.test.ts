import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { HostLog } from "../../../src/engine/host/host_log";
import { temporaryDirectories } from "../models/temporary_directory";

const directory = temporaryDirectories();

it("writes a line per event, with time and process", () => {
  const path = join(directory(), "logs", "engine.log");
  const log = new HostLog({ path });
  log.write("one");
  log.write("two\n");
  const lines = readFileSync(path, "utf8").split("\n");
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z \[\d+\] one$/);
  expect(lines[1]).toMatch(/ two$/);
});

it("never grows much beyond its limit, and keeps what was there before", () => {
  const path = join(directory(), "engine.log");
  const log = new HostLog({ path, maxBytes: 1000 });
  for (let line = 0; line < 100; ++line) log.write(`line ${String(line)} ${"é".repeat(20)}`);
  expect(statSync(path).size).toBeLessThanOrEqual(1000);
  expect(statSync(`${path}.old`).size).toBeLessThanOrEqual(1000);
  const kept = readFileSync(`${path}.old`, "utf8") + readFileSync(path, "utf8");
  const numbers = [...kept.matchAll(/line (\d+)/g)].map((match) => Number(match[1]));
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => 100 - numbers.length + index));
});

it("leaves room for a crash's last words in the same file, which stays open", () => {
  const path = join(directory(), "engine.log");
  const log = new HostLog({ path, maxBytes: 200 });
  for (let line = 0; line < 20; ++line) log.write("something");
  const { ino } = statSync(path);
  appendFileSync(path, "GGML_ASSERT failed\n");
  for (let line = 0; line < 20; ++line) log.write("more");
  expect(statSync(path).ino).toBe(ino);
});

it.each<[name: string, prepare: (path: string) => void]>([
  [
    "its folder is a file",
    (path) => {
      writeFileSync(join(path, ".."), "");
    },
  ],
  [
    "its file is a folder",
    (path) => {
      mkdirSync(path, { recursive: true });
    },
  ],
])("fails nobody when %s", (_, prepare) => {
  const path = join(directory(), "logs", "engine.log");
  prepare(path);
  const log = new HostLog({ path });
  expect(() => {
    log.write("lost");
  }).not.toThrow();
  expect(existsSync(`${path}.old`)).toBe(false);
});
