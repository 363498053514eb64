// What a frame needs to know before it can speak: who it is and which origin holds it.
import { createPanel } from "./panel.mjs";

/** The frame's name, its host's origin, and its panel; null if the page stands alone. */
export function frameSetup() {
  const query = new URLSearchParams(location.search);
  const root = document.getElementById("panel");
  const [name, hostOrigin] = [query.get("name"), query.get("host")];
  if (parent === window || !name || !hostOrigin) {
    root.innerHTML = '<p>This page is a frame of <a href="./">the demo</a>.</p>';
    document.body.dataset.state = "failed";
    return null;
  }
  document.title = name;
  return { name, hostOrigin, panel: createPanel(root, name) };
}

/** Tell the host that this frame has failed, now and when the host asks. */
export function reportFailure(hostOrigin, words) {
  document.body.dataset.state = "failed";
  const tell = () => parent.postMessage({ type: "failed", words }, hostOrigin);
  addEventListener("message", (event) => {
    if (event.source === parent && event.origin === hostOrigin && event.data?.type === "call")
      tell();
  });
  tell();
}
