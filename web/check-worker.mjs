// A worker of the check page: runs in Python what the rows ask for (py/check/there.py).
import "./msgchan.mjs"; // hears what the page says before Python is here
import { boot } from "./boot.mjs";
import { setup } from "./check-modules.mjs";

const panel = {
  progress() {},
  ready() {},
  fail: (words, detail) => {
    throw new Error(`${words} ${detail}`);
  },
};
void boot({ panel, ...setup("there", { host: "", connected() {} }) });
