import { describe, expect, test } from "vitest";
import { matchesAny } from "../../../src/config/glob";

describe("globs of nmos.privacy.exclude", () => {
  function check(glob: string, path: string, expected: boolean): void {
    test(`${glob} ${expected ? "matches" : "does not match"} ${path}`, () => {
      expect(matchesAny(path, [glob])).toBe(expected);
    });
  }

  check("**/.env", "/home/me/app/.env", true);
  check("**/.env", ".env", true);
  check("**/.env", "/app/.env.local", false);
  check("**/.env.*", "/app/.env.local", true);
  check("**/.env", "/app/x.env", false);
  check("*.pem", "/app/keys/server.pem", true);
  check("*.pem", "/app/server.pem.txt", false);
  check("**/*.PEM", "/app/server.pem", true);
  check("**/id_rsa*", "/home/me/.ssh/id_rsa.pub", true);
  check("**/.ssh/**", "/home/me/.ssh/config", true);
  check("**/.ssh/**", "/home/me/ssh/config", false);
  check("config/*.json", "config/a.json", true);
  check("config/*.json", "config/deep/a.json", false);
  check("config/**/*.json", "config/deep/er/a.json", true);
  check("config/**/*.json", "config/a.json", true);
  check("**/*.{key,p12}", "/a/b.p12", true);
  check("**/*.{key,p12}", "/a/b.p1", false);
  check("**/secret[0-9].txt", "/a/secret7.txt", true);
  check("**/secret[!0-9].txt", "/a/secret7.txt", false);
  check("**/secret[!0-9].txt", "/a/secretx.txt", true);
  check("**/a?c", "/abc", true);
  check("**/a?c", "/a/c", false);
  check("a+(b).txt", "/x/a+(b).txt", true);
  check("**/[z-a]", "/b", false);
  check("{", "/{", true);
  check("**/{a,b", "/{a,b", true);
  check("**", "/anything/at.all", true);
  check("", "/a", false);
});
