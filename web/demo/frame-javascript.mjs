// A frame without Python: the same conversation as py/frame.py and py/mesh.py, in the browser's own
// terms. To a message port it makes no difference who sits at the other end.
import { accept } from "../msgchan.mjs";
import { CHANNEL, frameSetup } from "./parent.mjs";

const PATIENCE = 10_000; // ms to wait for an answer
const PINGS = 10; // round trips in a measurement
const PAUSE = 1000; // ms between measurements
const [WIDTH, HEIGHT] = [160, 120];

const setup = frameSetup();
if (setup) void join(setup);

async function join({ name, hostOrigin, panel }) {
  const links = new Map(); // by the peer's name
  let host, hostLink;
  panel.ready("no Python here");

  function talk(link) {
    link.count = 0;
    const before = links.get(link.peer);
    if (before) {
      before.left = true; // the host has lost one of the two for a while, and introduced them anew
      before.close();
    }
    links.set(link.peer, link);
    panel.peers([...links.keys()]);
    link.port.onmessage = (event) => heard(link, event); // this also starts the port
    return link;
  }

  function leave(link) {
    link.left = true;
    if (links.get(link.peer) === link) links.delete(link.peer);
    panel.peers([...links.keys()]);
    panel.note(link.peer, "the other side vanished");
    report("ended", link);
  }

  function heard(link, { data, ports }) {
    link.count++;
    if (data.to !== name) return;
    if (data.type === "text") panel.received(link.peer, data.text);
    if (data.type === "picture") panel.draw(link.peer, data.width, data.height, data.pixels);
    const answer = ports.at(-1); // whoever sends a port last waits for an answer on it
    answer?.postMessage(null);
    answer?.close();
  }

  // The host has connected this frame with another, and steps aside.
  function introduced({ port, close, closed }, { number, names: [first, second] }) {
    const link = talk({ peer: name === first ? second : first, port, close, number });
    void closed.then(({ reason }) => reason === "local" || leave(link));
    if (name === first) void measure(link);
  }

  // A private channel for one answer, as `connection.request` of the Python package makes it.
  async function request(link, message, transfer = []) {
    const { port1, port2 } = new MessageChannel();
    const start = performance.now();
    let timer;
    try {
      await new Promise((resolve, reject) => {
        port1.onmessage = resolve;
        timer = setTimeout(() => reject(new Error("no answer")), PATIENCE);
        link.port.postMessage({ to: link.peer, ...message }, [...transfer, port2]);
        link.count++;
      });
    } finally {
      clearTimeout(timer);
      port1.close();
    }
    return performance.now() - start;
  }

  async function measure(link) {
    while (!link.left) {
      try {
        let sum = 0;
        for (let i = 0; i < PINGS; i++) sum += await request(link, { type: "ping" });
        link.ms = sum / PINGS;
      } catch {
        link.ms = Infinity;
      }
      if (!link.left) report("measured", link);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  function report(what, link) {
    const { number, count, ms = Infinity } = link;
    if (link !== hostLink) host.port.postMessage({ type: what, number, count, ms });
  }

  async function send(peer, message, transfer) {
    try {
      const link = links.get(peer);
      if (!link) throw new Error("is gone");
      report("sent", link);
      return await request(link, message, transfer);
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

  // The host calls again where it has taken this page for lost.
  for (;;) {
    host = await accept({ origin: hostOrigin, name: CHANNEL, onintroduction: introduced });
    document.body.dataset.state = "ready";
    hostLink = talk({ peer: "host", port: host.port, close: host.close, number: 0 });
    await host.closed;
    leave(hostLink);
    host.close();
  }
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
