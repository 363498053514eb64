// What ESLint checks; see lint.py.
import js from "../../build/node/node_modules/@eslint/js/src/index.js";

export default [
  {
    ignores: ["pyodide_msgchan/js/bridge.mjs"], // made of js/src
  },
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "no-undef": "off", // the type checker knows more names
      "array-callback-return": "error",
      "default-case-last": "error",
      eqeqeq: ["error", "smart"],
      "no-constructor-return": "error",
      "no-implicit-globals": "error",
      "no-promise-executor-return": "off",
      "no-self-compare": "error",
      "no-template-curly-in-string": "error",
      "no-throw-literal": "error",
      "no-unmodified-loop-condition": "error",
      "no-unreachable-loop": "error",
      "no-useless-rename": "error",
      "object-shorthand": "error",
      "prefer-const": ["error", { destructuring: "all" }],
    },
  },
  {
    files: ["pyodide_msgchan/js/**/*.mjs"],
    ignores: ["pyodide_msgchan/js/msgchan.mjs"], // still one closure
    rules: {
      "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ["**/*.mjs"],
    rules: { "no-var": "error" },
  },
];
