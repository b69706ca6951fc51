import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { packagedReadme, relativeLinks } from "../../../scripts/setup/packaged_readme";

const isShipped = (path: string) => path === "LICENSE";

describe("the README in the package", () => {
  it.each<[what: string, source: string, expected: string]>([
    ["names what is shipped", "see [LICENSE](LICENSE).", "see `LICENSE.txt` in the extension's folder."],
    ["names what is not", "told in [A.md](A.md), too", "told in `A.md` in the sources, too"],
    ["says what it is", "[the design](docs/a.md#b)", "the design (`docs/a.md#b`) in the sources"],
    ["keeps addresses", "[VS](https://a.b/c) [mail](mailto:a@b)", "[VS](https://a.b/c) [mail](mailto:a@b)"],
    ["keeps places in itself", "[above](#models)", "[above](#models)"],
    ["keeps pictures", "![Chat](docs/images/chat.png)", "![Chat](docs/images/chat.png)"],
  ])("%s", (_, source, expected) => {
    expect(packagedReadme(source, isShipped)).toBe(expected);
  });

  it("has no link that leads nowhere", () => {
    for (const file of ["README.md", "CHANGELOG.md"]) {
      const text = readFileSync(file, "utf8");
      expect(relativeLinks(packagedReadme(text, () => false))).toEqual([]);
    }
    expect(relativeLinks(readFileSync("README.md", "utf8"))).toContain("ARCHITECTURE.md");
    // It is shipped as it is.
    expect(relativeLinks(readFileSync("CHANGELOG.md", "utf8"))).toEqual([]);
  });
});
