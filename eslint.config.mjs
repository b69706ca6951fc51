import js from "@eslint/js";
import importX from "eslint-plugin-import-x";
import tseslint from "typescript-eslint";

/** The layout table of ARCHITECTURE.md: `target` may not import from `from`. */
const layers = [
  {
    target: "src/shared",
    from: ["src/engine", "src/providers", "src/config", "src/extension.ts", "webview", "native"],
  },
  { target: "src/config", from: ["src/engine", "src/providers", "src/extension.ts", "webview", "native"] },
  { target: "src/engine", from: ["src/providers", "src/config", "src/extension.ts", "webview", "native"] },
  { target: "src/providers", from: ["src/extension.ts", "webview", "native", "src/engine/host", "src/engine/native"] },
  { target: "src", from: ["test", "bench", "scripts"] },
  { target: "webview", from: ["src/engine", "src/providers", "src/config", "src/extension.ts", "native"] },
].flatMap(({ target, from }) => from.map((path) => ({ target, from: path })));

export default tseslint.config(
  { ignores: ["**/node_modules/**", "dist/**", "build/**", "prebuilds/**", "artifacts/**"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    plugins: { "import-x": importX },
    settings: { "import-x/resolver": { node: { extensions: [".ts", ".json"] } } },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "import-x/no-restricted-paths": ["error", { zones: layers }],
      "import-x/no-default-export": "error",
      "import-x/no-cycle": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
    },
  },
  {
    files: ["src/engine/**/*.ts", "src/shared/**/*.ts", "webview/**/*.ts"],
    rules: {
      "no-restricted-imports": [
        "error",
        { paths: [{ name: "vscode", message: "Only extension.ts, providers and config may use vscode." }] },
      ],
    },
  },
  {
    files: ["**/*.config.ts"],
    rules: { "import-x/no-default-export": "off" },
  },
  {
    files: ["**/*.mjs", "**/*.js"],
    languageOptions: { globals: { process: "readonly", console: "readonly", URL: "readonly" } },
  },
);
