// A frame without Python: the same conversation as py/frame.py and py/mesh.py, in the browser's own
// terms. To a message port it makes no difference who sits at the other end.
import { frameSetup } from "./parent.mjs";

const PATIENCE = 10_000; // ms to wait for an answer
const [WIDTH, HEIGHT] = [160, 120];

const setup = frameSetup();
if (setup) join(setup);

function join({ name, hostOrigin, panel }) {
  const ports = new Map();
  const hello = { type: "hello", name, page: Math.random().toString(36) };
  const sayHello = () => parent.postMessage(hello, hostOrigin);

  addEventListener("message", (event) => {
    if (event.source !== parent || event.origin !== hostOrigin) return;
    if (event.data?.type === "call") sayHello();
    if (event.data?.type === "welcome") take("host", event.data.port);
  });

  function take(peer, port) {
    ports.get(peer)?.close();
    ports.set(peer, port);
    port.onmessage = (event) => heard(peer, event); // this also starts the port
    panel.peers([...ports.keys()]);
  }

  function heard(peer, { data, ports: [...came] }) {
    if (data.type === "introduce") return take(data.peer, data.port);
    if (data.type === "text") panel.received(peer, data.text);
    if (data.type === "picture") panel.draw(peer, data.width, data.height, data.pixels);
    const answer = came.at(-1); // whoever sends a port last waits for an answer on it
    answer?.postMessage(null);
    answer?.close();
  }

  // A private channel for one answer, as `port.request` of the Python package makes it.
  async function request(peer, message, transfer = []) {
    const { port1, port2 } = new MessageChannel();
    const start = performance.now();
    try {
      await new Promise((resolve, reject) => {
        port1.onmessage = resolve;
        setTimeout(() => reject(new Error("no answer")), PATIENCE);
        ports.get(peer).postMessage(message, [...transfer, port2]);
      });
    } finally {
      port1.close();
    }
    return performance.now() - start;
  }

  async function send(peer, message, transfer) {
    if (peer !== "host") ports.get("host").postMessage({ type: "sent", peer });
    try {
      return await request(peer, message, transfer);
    } catch (error) {
      panel.trouble(peer, error.message);
    }
  }

  async function sendAll(peers, words, sendOne) {
    const times = await Promise.all(peers.map(sendOne));
    if (!times.includes(undefined)) panel.sent(peers, words, Math.max(...times));
  }

  panel.onsend = (peers, text) =>
    sendAll(peers, text, (peer) => send(peer, { type: "text", text }));
  panel.onpicture = (peers) => {
    const picture = ripples();
    return sendAll(peers, "a picture", (peer) => {
      const pixels = picture.slice(); // what is transferred is gone here, so each gets its own
      const message = { type: "picture", width: WIDTH, height: HEIGHT, pixels };
      return send(peer, message, [pixels.buffer]);
    });
  };
  panel.ready("no Python here");
  document.body.dataset.state = "ready";
  sayHello();
}

/** Rings around two points that meet, as RGBA. */
function ripples() {
  const pixels = new Uint8Array(4 * WIDTH * HEIGHT);
  const phase = 6.3 * Math.random();
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    const [x, y] = [i % WIDTH, Math.floor(i / WIDTH)];
    const wave =
      Math.sin(Math.hypot(x - 45, y - 40) / 5 + phase) + Math.sin(Math.hypot(x - 120, y - 85) / 7);
    pixels.set([150 + 50 * wave, 115 + 55 * wave, 40 + 18 * wave, 255], 4 * i);
  }
  return pixels;
}
