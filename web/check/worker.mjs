// A worker of the check page: runs in Python what the rows ask for (py/there.py).
import "../msgchan.mjs"; // hears what the page says before Python is here
import { boot } from "../shared/boot.mjs";
import { setup } from "./modules.mjs";

const panel = {
  progress() {},
  ready() {},
  fail: (words, detail) => {
    throw new Error(`${words} ${detail}`);
  },
};
void boot({ panel, ...setup("there", { host: "", connected() {} }) });
