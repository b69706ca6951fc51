import { describe, expect, test } from "vitest";
import { TokensAhead } from "../../../src/engine/host/tokens_ahead";
import type { NativeSession } from "../../../src/engine/native/addon";
import type { Priority } from "../../../src/shared/generation";

/** Requests as "class, tokens found in the cache, tokens computed", or "restored". */
function check(name: string, requests: string, computed: number, used: number): void {
  test(`${name}: ${String(computed)} computed ahead, ${String(used)} used`, () => {
    const ahead = new TokensAhead();
    const session = {} as NativeSession;
    for (const request of requests.split("; ")) {
      const [priority, reused, made] = request.split(" ");
      const cost = { reusedTokens: Number(reused), computedTokens: Number(made) };
      if (priority === "restored") ahead.forget(session);
      else ahead.record(session, priority as Priority, cost);
    }
    expect([ahead.computed, ahead.used]).toEqual([computed, used]);
  });
}

describe("tokens", () => {
  check("of a request alone", "suggest 0 100", 0, 0);
  check("that the next request finds", "warm 0 100; suggest 100 5", 100, 100);
  check("that are counted once", "warm 0 100; suggest 100 5; chat 105 1", 100, 100);
  check("of which it finds some", "warm 0 100; suggest 60 40", 100, 60);
  check("behind those of a request", "chat 0 50; warm 50 30; chat 80 10", 30, 30);
  check("that another prompt overwrites", "warm 0 100; suggest 0 20", 100, 0);
  check("computed in two goes", "warm 0 60; warm 60 40; suggest 100 0", 100, 100);
  check("computed twice over", "warm 0 60; warm 20 40; suggest 60 0", 100, 60);
  check("none of which is left", "warm 10 60; warm 0 40; suggest 40 0", 100, 40);
  check("that a copy of something else replaced", "warm 0 100; restored; chat 90 10", 100, 0);
});
