import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { buildWithCmake } from "./cmake";
import { type CtestOptions, runCtest } from "./ctest";
import { ensureEngineLibraries } from "./engine_libraries";
import { MissingTool } from "./missing_tool";
import type { StepResult } from "./steps";

/** As NMOS_SANITIZER of CMakeLists.txt names them. */
export type Sanitizer = "address" | "thread";

/** The same code over more prompts. */
const morePrompts = "exact_passes: .*(second|last) third of the prompts";

/** One thread computes: there is no race to find. */
const singleThreaded =
  "(agreement|draft_control|expert_placement|kv_choice|kv_type|model_profile|pass_costs|placement|sampler|several_cards|shortfall|slow_passes|text_drafters|text_stream|unit_plan|vocabulary): ";

const suppressions = resolve("native/tests/tsan_suppressions.txt");

const runs: Record<Sanitizer, CtestOptions> = {
  address: {
    // Half a minute and more of arithmetic, on thousands of random plans or of a model of half a billion parameters; the other
    // tests of the areas remain.
    without: `^((several_cards|unit_plan): (never exceeds the budget|is not slower with more memory)|kv_choice: is (never|not)|shortfall: is true|agreement: the model of ghost text|${morePrompts})`,
    env: {
      ASAN_OPTIONS: "halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
      UBSAN_OPTIONS: "halt_on_error=1:print_stacktrace=1",
    },
  },
  thread: {
    // Beside what has one thread, three tests that take minutes: of the first, the variants with smaller models remain; of the
    // second, what happens when memory is refused, which the other sanitizers look at; the third measures a card beside an answer,
    // as the other sanitizers have it do. And one in which two of ggml's threads compute, of whose order nothing is seen.
    without: `^(${singleThreaded}|placed_model: (goes on with the processor's text, whatever the plan$|survives a refusal)|measured_device: is measured again with the next load|exact_passes: answers that two threads|${morePrompts})`,
    env: {
      // Comparing strings is most of what llama.cpp does while it loads a vocabulary, and of no interest here.
      TSAN_OPTIONS: `halt_on_error=1:second_deadlock_stack=1:intercept_strlen=0:intercept_memcmp=0:suppressions='${suppressions}'`,
    },
  },
};

/**
 * Builds the core and its tests with a sanitizer, in a folder of its own, and runs them. The engine libraries are those
 * of the product, without one. Throws MissingTool where the compiler has no such sanitizer.
 */
export async function runCoreTestsWith(sanitizer: Sanitizer, model: string): Promise<StepResult> {
  checkCompiler(sanitizer);
  const directory = join("build", `sanitizer-${sanitizer}`);
  const { sources, libraries } = await ensureEngineLibraries();
  const defines = { NMOS_SANITIZER: sanitizer, NMOS_LLAMA_SOURCES: sources, NMOS_LIBRARIES: libraries };
  await buildWithCmake(directory, defines, "--target", "nmos_core_tests");
  const launcher = fixedAddresses();
  return runCtest(directory, model, { ...runs[sanitizer], launcher });
}

/** The runtime of a sanitizer is a package of its own for some compilers. */
function checkCompiler(sanitizer: Sanitizer): void {
  const compiler = process.env["CXX"] ?? "c++";
  const args = [`-fsanitize=${sanitizer}`, "-x", "c++", "-", "-o", "/dev/null"];
  const { status } = spawnSync(compiler, args, { input: "int main() {}", stdio: ["pipe", "ignore", "inherit"] });
  if (status !== 0)
    throw new MissingTool(`${compiler} links nothing with -fsanitize=${sanitizer}: install its runtime`);
}

/** Before GCC 14 and Clang 18, sanitizers start only now and then where the kernel spreads addresses as wide as it may. */
function fixedAddresses(): string[] {
  const launcher = ["setarch", "--addr-no-randomize"];
  return spawnSync("setarch", ["--addr-no-randomize", "true"], { stdio: "ignore" }).status === 0 ? launcher : [];
}
