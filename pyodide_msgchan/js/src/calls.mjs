// The fast path for remote calls of plain values, on an attribute or the exposed object itself:
// Comlink's messages are built and parsed here, so that only plain values are passed to Python and
// back. All other calls are ordinary messages.

import { normalizeScalar } from "./decode.mjs";
import { promisingCall, STEP } from "./enter.mjs";

const MAX_ID_LENGTH = 1000; // as in _rpc/protocol.py
const MAX_NAME_LENGTH = 100; // characters; both sides keep a number of names
const MAX_SHORT_ARGUMENTS = 100; // as in _rpc/client.py: engines can spread only so many
const REQUESTS = new Set(["GET", "SET", "APPLY", "CONSTRUCT", "ENDPOINT", "RELEASE", "CANCEL"]);

const isPlain = (v) => {
  const type = typeof v;
  return type === "number" || type === "string" || type === "boolean" || v == null;
};
const toRawWire = (value) => ({ type: "RAW", value: normalizeScalar(value) });

/** Return the number of the request that a plain result is for; 0 if it is not a plain result. */
function requestNumberOf({ prefix }, data) {
  const { id, type, value } = data ?? {};
  if (type !== "RAW" || !isPlain(value) || typeof id !== "string" || !id.startsWith(prefix))
    return 0;
  const digits = id.slice(prefix.length),
    number = Number(digits);
  return Number.isSafeInteger(number) && String(number) === digits ? number : 0;
}

/** The bridge's functions for calls. */
export class Calls {
  /** The numbers that Python has assigned to names. @type {Map<string, number>} */
  #names = new Map();
  #bridge;
  #onCallNow;
  #onResultsNow;

  /**
   * `bridge` has the slots, the function `post`, and Python's callbacks onCall(id, now, call, name,
   * ...values), onResults(id, now, number, value, ...) and onStep(id).
   */
  constructor(bridge) {
    this.#bridge = bridge;
    this.#onCallNow = promisingCall(bridge.pyodide, bridge.onCall);
    this.#onResultsNow = promisingCall(bridge.pyodide, bridge.onResults);
  }

  #stepIfAsked(slot, outcome) {
    if (outcome === STEP) this.#bridge.onStep.callPromising(slot.id).catch(reportError);
  }

  /** Pass numbers and values in turn to Python; the last step of a handler. Return true. */
  deliverResults(slot, ...answers) {
    if (slot.promising && this.#onResultsNow)
      this.#onResultsNow(slot.id, true, ...answers).catch(reportError);
    else this.#stepIfAsked(slot, this.#bridge.onResults(slot.id, !slot.promising, ...answers));
    return true;
  }

  /** Pass a call to Python, and send its result if that is returned at once. Return true. */
  #deliverCall(slot, id, name, values) {
    const { slots, onCall } = this.#bridge;
    const answer = (value) => {
      if (value !== undefined && slots.has(slot.id)) this.answer(slot.id, id, value);
    };
    if (slot.promising && this.#onCallNow)
      this.#onCallNow(slot.id, true, id, name, ...values).then(answer, reportError);
    else if (slot.promising) this.#stepIfAsked(slot, onCall(slot.id, false, id, name, ...values));
    else answer(onCall(slot.id, true, id, name, ...values));
    return true;
  }

  assignNumber(name, number) {
    this.#names.set(name, number);
  }

  begin(id, prefix) {
    this.#bridge.slots.get(id).prefix = prefix;
  }

  open(id) {
    this.#bridge.slots.get(id).takesCalls = true;
  }

  /** Set whether this end accepts requests at a target that others use too. */
  serve(id, on) {
    const slot = this.#bridge.slots.get(id); // undefined if the port is closed
    if (slot) slot.serving = on;
  }

  /**
   * Return whether a message at a target that others use too is for this end: a result of its own
   * request, or a request while it exposes something. Other messages are not passed to Python, so
   * that it adopts no ports of others.
   */
  isForThisEnd({ prefix, serving }, { type: event, data }) {
    if (event === "messageerror" || event === "close") return true; // their addressee is unknown
    // A NEXT message is for the same end as the message that it announces.
    const { id, type } = (data?.type === "NEXT" ? data.about : data) ?? {};
    if (type === "RAW" || type === "HANDLER")
      return prefix !== undefined && typeof id === "string" && id.startsWith(prefix);
    return serving === true && REQUESTS.has(type);
  }

  call(id, number, name, ...values) {
    const { slots, post } = this.#bridge;
    const { prefix } = slots.get(id);
    const path = name === undefined ? [] : [name];
    post(id, { id: prefix + number, type: "APPLY", path, argumentList: values.map(toRawWire) });
  }

  answer(id, call, value) {
    this.#bridge.post(id, { id: call, ...toRawWire(value) });
  }

  /**
   * Remove the plain results at the head of the queue, up to a maximum, and return numbers and
   * values in turn; return false if there are fewer than two.
   */
  takeResults(slot, max) {
    const results = [];
    for (const { data } of slot.queue) {
      const number = requestNumberOf(slot, data);
      if (!number || results.push(number, data.value ?? undefined) === 2 * max) break;
    }
    if (results.length <= 2) return false;
    slot.queue.splice(0, results.length / 2);
    return results;
  }

  /** Pass a message to Python if it is a plain call or result; return whether it was. */
  takeMessage(slot, data) {
    if (data === null || typeof data !== "object") return false;
    const number = requestNumberOf(slot, data);
    if (number) return this.deliverResults(slot, number, data.value ?? undefined);
    const { id, type, path, argumentList } = data;
    if (typeof id !== "string" || id.length > MAX_ID_LENGTH) return false;
    if (type !== "APPLY" || !Array.isArray(path) || path.length > 1) return false;
    if (path.length === 1 && !(typeof path[0] === "string" && path[0].length <= MAX_NAME_LENGTH))
      return false;
    if (!Array.isArray(argumentList) || data.keywords) return false;
    if (argumentList.length > MAX_SHORT_ARGUMENTS) return false;
    const values = [];
    for (const wire of argumentList) {
      if (wire?.type !== "RAW" || !isPlain(wire.value)) return false;
      values.push(wire.value ?? undefined);
    }
    return this.#deliverCall(slot, id, this.#names.get(path[0]) ?? path[0], values);
  }
}
