// What a frame or popup needs to know before it can speak: who it is and which origin holds it.
import { accept } from "../msgchan.mjs";
import { createPanel } from "./panel.mjs";

export const CHANNEL = "demo"; // the name under which host and frames look for each other

/** The page's name, its host's origin, and its panel; null if the page stands alone. */
export function frameSetup() {
  const query = new URLSearchParams(location.search);
  const root = document.getElementById("panel");
  const [name, hostOrigin] = [query.get("name"), query.get("host")];
  if ((parent === window && !opener) || !name || !hostOrigin) {
    root.innerHTML = '<p>This page is a frame of <a href="../">the demo</a>.</p>';
    document.body.dataset.state = "failed";
    return null;
  }
  const panel = createPanel(root, name);
  document.title = `${root.querySelector("h2").textContent}: message ports demo`;
  return { name, hostOrigin, panel };
}

/** Tell the host that Python has failed here. That needs no Python. */
export async function reportFailure(hostOrigin, words) {
  document.body.dataset.state = "failed";
  const { port } = await accept({ origin: hostOrigin, name: CHANNEL });
  port.postMessage({ type: "failed", words });
}
