/** What `npm start` and `npm run web` fetch: small enough to be there soon and to run on every machine. */
export const defaultModel = "qwen2.5-coder-0.5b";
