// A window or worker that runs what its owner asks, with msgchan.mjs at hand: so a test tells both
// sides' stories in one place. `tell` reaches the owner, who is another page for a popup.
import * as msgchan from "/site/msgchan.mjs";

const owner = self.document ? (opener ?? parent) : self;
const tell = (message) => owner.postMessage({ test: true, ...message }, { targetOrigin: "*" });
const names = Object.keys(msgchan);
const { constructor: AsyncFunction } = async () => {};

addEventListener("message", async ({ data }) => {
  if (typeof data?.body !== "string") return;
  const { number, body, args } = data;
  try {
    const run = AsyncFunction(...names, "owner", "args", body);
    const value = await run(...Object.values(msgchan), owner, args);
    tell({ number, value });
  } catch (error) {
    tell({ number, error: `${error.name}: ${error.message}` });
  }
});
tell({ ready: self.origin });
