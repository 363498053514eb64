// A frame or popup of the check page: runs in Python what the rows ask for (py/there.py).
import { boot } from "../shared/boot.mjs";
import { setup } from "./modules.mjs";
import { label } from "../shared/names.mjs";

const query = new URLSearchParams(location.search);
const card = document.getElementById("card");
const [kind, host] = [query.get("kind"), query.get("host")];

if ((parent === window && !opener) || !kind || !host) {
  card.innerHTML = '<p>This page is a frame of <a href="../check.html">the check page</a>.</p>';
  document.body.dataset.state = "failed";
} else {
  const find = (selector) => card.querySelector(selector);
  card.dataset.name = kind;
  find("h1").textContent = label(kind);
  find(".place").textContent = self.origin === "null" ? "opaque origin" : self.origin;
  const say = (state, words) => {
    document.body.dataset.state = state;
    find(".phase").textContent = words;
  };
  const panel = {
    progress(share, words) {
      find("progress").value = share;
      find(".phase").textContent = words;
    },
    ready(words) {
      find("progress").remove();
      find(".phase").textContent = words;
    },
    fail: (words, detail) => say("failed", `${words} ${detail}`),
  };
  const page = { host, connected: () => say("ready", `${find(".phase").textContent}, connected`) };
  void boot({ panel, ...setup("there", page) });
}
