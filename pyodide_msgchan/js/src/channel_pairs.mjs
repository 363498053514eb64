// The two channels of a connection, data and control, from their offer until their ports close.

const FAREWELL_TIMEOUT_MS = 10_000; // How long a closed connection keeps its ports open for a farewell.
const FAREWELL_GRACE_MS = 1000; // How long messages sent before a farewell may still arrive after it.

/** The channel pairs of a bridge, by the ids of their control ports. */
export class ChannelPairs {
  /** @type {Map<number, any>} */ #pairs = new Map();
  /** Ids of control ports that wait for a farewell, or did just now. @type {Set<number>} */
  #awaitingFarewell = new Set();
  #bridge;

  /** `bridge` has the functions start, drop and answersOf. */
  constructor(bridge) {
    this.#bridge = bridge;
  }

  get(controlId) {
    return this.#pairs.get(controlId);
  }

  all() {
    return [...this.#pairs.values()];
  }

  /** Add the slots of a connection to a target; return the id of its control port. */
  add(data, control, target) {
    /** @type {any} */ const pair = { data, control, target, stops: [] };
    data.channelPair = pair;
    this.#pairs.set(control.id, pair);
    control.cleanup = () => {
      this.#pairs.delete(control.id);
      for (const stop of pair.stops) stop();
    };
    // Send a farewell once every message sent before a goodbye has arrived: the peer may then close
    // its ports.
    pair.checkReceived = () => {
      if (pair.farewellSent || !(data.received >= pair.expected)) return;
      pair.farewellSent = true;
      control.port.postMessage({ type: "farewell" });
    };
    return control.id;
  }

  sendGoodbye({ data, control }, reason) {
    const answers = this.#bridge.answersOf(data);
    control.port.postMessage({
      type: "goodbye",
      sent: data.sent,
      answers: answers < 0 ? null : answers,
      reason,
    });
  }

  /** The peer sent a goodbye that counts `sent` messages: receive them, then send a farewell. */
  expect(controlId, sent) {
    const pair = this.#pairs.get(controlId);
    pair.expected = sent;
    this.#bridge.start(pair.data);
    pair.checkReceived();
  }

  awaitsFarewell(controlId) {
    return this.#awaitingFarewell.has(controlId);
  }

  /** Close both channels. The ports stay open until the peer has received all that was posted on them. */
  closeGracefully(controlId, withGoodbye) {
    const pair = this.#pairs.get(controlId);
    const { data, control, expected, farewellSent } = pair;
    if (withGoodbye) this.sendGoodbye(pair, "close");
    if (expected !== undefined && !farewellSent) control.port.postMessage({ type: "farewell" });
    // -1 means that the peer was presumed lost, but it may still be there. Firefox loses messages on
    // their way to a port that is being transferred when this end closes.
    const closeNow = expected < 0 ? false : expected !== undefined || !withGoodbye;
    const unhandled = control.queue;
    for (const slot of [data, control]) this.#bridge.drop(slot.id, closeNow);
    if (!closeNow) this.#awaitFarewell(controlId, data, control, unhandled);
  }

  #awaitFarewell(controlId, data, control, unhandled) {
    const { port } = control;
    this.#awaitingFarewell.add(controlId);
    const finish = () => {
      clearTimeout(timer);
      setTimeout(() => this.#awaitingFarewell.delete(controlId), FAREWELL_GRACE_MS);
      port.removeEventListener("message", on);
      for (const slot of [data, control]) slot.port.close();
    };
    const on = ({ data: message }) => {
      if (message?.type === "goodbye") port.postMessage({ type: "farewell" });
      if (message?.type === "farewell") finish();
    };
    const timer = setTimeout(finish, FAREWELL_TIMEOUT_MS);
    port.addEventListener("message", on);
    unhandled.forEach(on);
  }
}
