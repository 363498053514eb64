// A frame, popup or worker without Python, which a row of the check page has for itself. The row
// tells it what to do by the name of one of these functions.
import { accept } from "./msgchan.mjs";

const scenarios = {
  /** Send back on a port whatever comes on it, ports included. */
  echo(port) {
    port.onmessage = ({ data, ports }) => port.postMessage(data, ports);
  },
};

const host = new URLSearchParams(location.search).get("host");
const inWorker = typeof document === "undefined";
const { port } = await accept({ name: "light", ...(inWorker ? {} : { origin: host }) });
port.onmessage = async ({ data, ports }) => {
  const answer = ports.at(-1);
  try {
    answer.postMessage({ value: await scenarios[data.run](...data.args) });
  } catch (error) {
    answer.postMessage({ error: `${error.name}: ${error.message}` });
  }
  answer.close();
};
