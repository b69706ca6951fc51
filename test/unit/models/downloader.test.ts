import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import type { DownloadOptions } from "../../../src/engine/models/downloader";
import { behavioursOf, type Behaviour } from "./file_server";
import { bytes, download, timing } from "./run_download";

const server = behavioursOf(bytes);
const { good, breakAfter, stallAfter, wholeFile, wholeFileBreakingAfter, rangeFrom, rangeOfVersion } = server;

/** For servers that stall: the shortest time-out of the HTTP library is a second. */
const impatient = { timing: { ...timing, mostFailures: 2 } };

interface Case {
  when: string;
  script: Behaviour[];
  ends: string;
  /** First byte asked for by each request, where it is certain. */
  asked?: number[];
  /** How many requests are made. */
  requests?: number;
  /** What the message has to say. */
  says?: RegExp;
  /** Whether bytes stay for the next time. */
  keeps?: boolean;
  changes?: Partial<DownloadOptions>;
}

const redirected = (location: string) => server.redirect(location);

const cases: Case[] = [
  { when: "the server is good", script: [good()], ends: "done", asked: [0] },
  { when: "the connection breaks", script: [breakAfter(300_000), good()], ends: "done", requests: 2 },
  {
    when: "it breaks again and again",
    script: [1, 2, 3, 4, 5, 6].map(() => breakAfter(150_000)).concat(good()),
    ends: "done",
  },
  {
    when: "it breaks at once each time",
    script: [breakAfter(0)],
    ends: "DOWNLOAD_FAILED",
    requests: 4,
    says: /4 times/,
  },
  { when: "the server stalls", script: [stallAfter(300_000), good()], ends: "done", requests: 2 },
  {
    when: "the server stalls for ever",
    script: [stallAfter(0)],
    ends: "DOWNLOAD_FAILED",
    requests: 2,
    changes: impatient,
  },
  {
    when: "the server never answers",
    script: [() => undefined],
    ends: "DOWNLOAD_FAILED",
    requests: 2,
    changes: impatient,
  },
  { when: "the file comes in many pieces", script: [server.inPieces(10_000)], ends: "done" },
  { when: "a 200 answers a range", script: [breakAfter(300_000), wholeFile], ends: "done", requests: 2 },
  {
    when: "the server has no ranges and breaks at one place",
    script: [wholeFileBreakingAfter(300_000)],
    ends: "DOWNLOAD_FAILED",
  },
  { when: "a range begins elsewhere", script: [breakAfter(300_000), rangeFrom(10), good()], ends: "done", requests: 3 },
  { when: "a range begins elsewhere always", script: [breakAfter(300_000), rangeFrom(10)], ends: "DOWNLOAD_FAILED" },
  { when: "If-Range says the file changed", script: [breakAfter(300_000), good('"two"')], ends: "done", requests: 2 },
  {
    when: "a range of another version comes",
    script: [breakAfter(300_000), rangeOfVersion('"two"'), good('"two"')],
    ends: "done",
    requests: 3,
  },
  {
    when: "the range is refused",
    script: [breakAfter(300_000), server.status(416), good()],
    ends: "done",
    requests: 3,
  },
  {
    when: "the bytes are wrong",
    script: [server.other(randomBytes(bytes.length))],
    ends: "CHECKSUM_MISMATCH",
    requests: 1,
    says: /deleted; try again/,
  },
  {
    when: "a page comes instead",
    script: [server.other(Buffer.from("<html>"))],
    ends: "DOWNLOAD_FAILED",
    requests: 1,
    says: /offers 6 bytes.*1000000.*mirror/,
  },
  { when: "the length is not told", script: [server.withoutLength(bytes)], ends: "done" },
  {
    when: "more comes than should",
    script: [server.withoutLength(Buffer.concat([bytes, bytes]))],
    ends: "DOWNLOAD_FAILED",
    says: /more than/,
  },
  {
    when: "less comes than should",
    script: [server.withoutLength(bytes.subarray(9))],
    ends: "DOWNLOAD_FAILED",
    keeps: true,
  },
  {
    when: "the file is not there",
    script: [server.status(404)],
    ends: "DOWNLOAD_FAILED",
    requests: 1,
    says: /404.*mirror/,
  },
  { when: "access is refused", script: [server.status(403)], ends: "DOWNLOAD_FAILED", requests: 1 },
  { when: "the server fails once", script: [server.status(500), good()], ends: "done", requests: 2 },
  {
    when: "the server fails always",
    script: [server.status(500)],
    ends: "DOWNLOAD_FAILED",
    requests: 4,
    says: /answers 500/,
  },
  {
    when: "the server is busy",
    script: [server.status(503, { "retry-after": "1" }), good()],
    ends: "done",
    requests: 2,
  },
  {
    when: "too many requests, with a date",
    script: [server.status(429, { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }), good()],
    ends: "done",
    requests: 2,
  },
  { when: "it is redirected", script: [redirected("/a"), redirected("b/c"), good()], ends: "done", requests: 3 },
  {
    when: "it is redirected in a circle",
    script: [redirected("/a")],
    ends: "DOWNLOAD_FAILED",
    requests: 6,
    says: /redirects more than 5/,
  },
  { when: "it is redirected to nowhere", script: [redirected("http://[")], ends: "DOWNLOAD_FAILED", requests: 1 },
  {
    when: "it is redirected to a file",
    script: [redirected("file:///etc/passwd")],
    ends: "DOWNLOAD_FAILED",
    requests: 1,
  },
  { when: "a redirect names no address", script: [server.status(302)], ends: "DOWNLOAD_FAILED", requests: 4 },
  {
    when: "the disk has no room",
    script: [good()],
    ends: "DISK_FULL",
    requests: 1,
    says: /201 MiB.*1 MiB are free/,
    changes: { freeBytes: () => Promise.resolve(2 ** 20) },
  },
  {
    when: "the disk does not tell its room",
    script: [good()],
    ends: "done",
    changes: { freeBytes: () => Promise.resolve(null) },
  },
  {
    when: "the mirror is no address",
    script: [good()],
    ends: "DOWNLOAD_FAILED",
    requests: 0,
    says: /mirror/,
    changes: { url: "mirror/model" },
  },
  {
    when: "the mirror is of another kind",
    script: [good()],
    ends: "DOWNLOAD_FAILED",
    requests: 0,
    changes: { url: "ftp://a.b/c" },
  },
  {
    when: "nobody listens",
    script: [good()],
    ends: "DOWNLOAD_FAILED",
    requests: 0,
    says: /127\.0\.0\.1:1 .*ECONNREFUSED/,
    changes: { url: "http://127.0.0.1:1/m" },
  },
];

describe("a download", () => {
  it.each(cases)("ends with $ends when $when", async ({ script, ends, asked, requests, says, keeps, changes }) => {
    const outcome = await download(script, changes);
    expect(outcome.ends, outcome.message).toBe(ends);
    if (asked) expect(outcome.asked).toEqual(asked);
    if (requests !== undefined) expect(outcome.asked).toHaveLength(requests);
    if (says) expect(outcome.message).toMatch(says);
    if (keeps) expect(statSync(`${outcome.target}.part`).size).toBeGreaterThan(0);
    expect(existsSync(outcome.target)).toBe(ends === "done");
    if (ends !== "done") return;
    expect(readFileSync(outcome.target).equals(bytes)).toBe(true);
    expect(readdirSync(dirname(outcome.target))).toEqual(["model.gguf"]);
  });
});
