import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bundleSuite } from "../electron/bundle_suite";
import { reportVariable, type SuiteReport } from "../electron/suite_report";
import { Product } from "./product";
import { until } from "./until";

/** The suite that also runs in VS Code for the desktop, here in the extension host of the browser edition. */
let product: Product;
let scratch: string;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "nmos-in-host-"));
  const env = { [reportVariable]: join(scratch, "report.json") };
  product = await Product.start({ files: { "readme.txt": "A workspace.\n" }, env, inHostTests: true });
});

afterAll(async () => {
  await product.stop();
  rmSync(scratch, { recursive: true, force: true });
});

it("passes all checks inside the extension host", async () => {
  const { directory, tests } = await bundleSuite();
  await product.openTestWindow({ extension: directory, tests });
  const file = join(scratch, "report.json");
  await until("a report of the suite", () => existsSync(file), Boolean, 500_000);
  const report = JSON.parse(readFileSync(file, "utf8")) as SuiteReport;
  expect(Object.keys(report).length).toBeGreaterThan(0);
  expect(Object.entries(report).filter(([, error]) => error !== null)).toEqual([]);
});
