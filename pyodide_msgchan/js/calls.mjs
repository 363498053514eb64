// Remote calls of one name, or none, and of plain values: the objects that Comlink makes of them are
// built and taken apart here, so that only plain values cross. All others go the general way.

import { normalizeScalar } from "./decode.mjs";
import { promisingCall, STEP } from "./enter.mjs";

const LONG_ID = 1000; // as in _rpc/protocol.py
const LONG_NAME = 100; // characters; both sides keep some names
const MAX_SHORT_ARGUMENTS = 100; // as in _rpc/client.py: no engine can spread any number of them
const REQUESTS = new Set(["GET", "SET", "APPLY", "CONSTRUCT", "ENDPOINT", "RELEASE", "CANCEL"]);

const plain = (v) => {
  const type = typeof v;
  return type === "number" || type === "string" || type === "boolean" || v == null;
};
const raw = (value) => ({ type: "RAW", value: normalizeScalar(value) });

/** The part of the bridge that knows calls; `post` is its own, `onCall` and `onResults` are Python's. */
export function createCalls({ slots, post, onCall, onResults, step, pyodide }) {
  const onCallNow = promisingCall(pyodide, onCall),
    onResultsNow = promisingCall(pyodide, onResults);

  const go = (slot, left) => {
    if (left === STEP) step.callPromising(slot.id).catch(reportError);
  };

  /** The last act of a handler, as in bridge.mjs: hands over numbers and values in turn; true. */
  function settle(slot, ...answers) {
    if (slot.promising && onResultsNow) onResultsNow(slot.id, true, ...answers).catch(reportError);
    else go(slot, onResults(slot.id, !slot.promising, ...answers));
    return true;
  }

  /** The number of the request that a plain answer is for; 0 if it is none. */
  function answerTo({ prefix }, data) {
    const { id, type, value } = data ?? {};
    if (type !== "RAW" || !plain(value) || typeof id !== "string" || !id.startsWith(prefix))
      return 0;
    const digits = id.slice(prefix.length),
      number = Number(digits);
    return Number.isSafeInteger(number) && String(number) === digits ? number : 0;
  }

  const names = new Map(); // to the numbers that Python knows them by

  /** The same. A plain result comes back at once, and is sent here. */
  function ask(slot, id, name, values) {
    const answer = (value) => {
      if (value !== undefined && slots.has(slot.id)) post(slot.id, { id, ...raw(value) });
    };
    if (slot.promising && onCallNow)
      onCallNow(slot.id, true, id, name, ...values).then(answer, reportError);
    else if (slot.promising) go(slot, onCall(slot.id, false, id, name, ...values));
    else answer(onCall(slot.id, true, id, name, ...values));
    return true;
  }

  return {
    assignNumber(name, number) {
      names.set(name, number);
    },
    begin(id, prefix) {
      slots.get(id).prefix = prefix;
    },
    open(id) {
      slots.get(id).calls = true;
    },
    /** Returns true if requests are wanted at an endpoint that others use too. */
    serve(id, on) {
      const slot = slots.get(id); // none, if it is closed
      if (slot) slot.serving = on;
    },
    /**
     * Whether what came to an endpoint that others use too is for this end: an answer to a request
     * of its own, or a request while it exposes something. Python never sees anything else, so that
     * nobody's ports are adopted.
     */
    concerns({ prefix, serving }, { type: event, data }) {
      if (event === "messageerror" || event === "close") return true; // nobody can tell whose
      // What is said before a message that may be unreadable is for whom that is.
      const { id, type } = (data?.type === "NEXT" ? data.about : data) ?? {};
      if (type === "RAW" || type === "HANDLER")
        return prefix !== undefined && typeof id === "string" && id.startsWith(prefix);
      return serving === true && REQUESTS.has(type);
    },
    call(id, number, name, ...values) {
      const { prefix } = slots.get(id);
      const path = name === undefined ? [] : [name];
      post(id, { id: prefix + number, type: "APPLY", path, argumentList: values.map(raw) });
    },
    answer(id, call, value) {
      post(id, { id: call, ...raw(value) });
    },
    settle,
    /**
     * Takes plain answers that a queue begins with, so many at most, and gives numbers and values in
     * turn; false if there is but one, or none.
     */
    takeAnswers(slot, most) {
      const answers = [];
      for (const { data } of slot.queue) {
        const number = answerTo(slot, data);
        if (!number || answers.push(number, data.value ?? undefined) === 2 * most) break;
      }
      if (answers.length <= 2) return false;
      slot.queue.splice(0, answers.length / 2);
      return answers;
    },
    /** Hands a message over if it is a plain one, and says whether it was. */
    take(slot, data) {
      if (data === null || typeof data !== "object") return false;
      const number = answerTo(slot, data);
      if (number) return settle(slot, number, data.value ?? undefined);
      const { id, type, path, argumentList } = data;
      if (typeof id !== "string" || id.length > LONG_ID) return false;
      if (type !== "APPLY" || !Array.isArray(path) || path.length > 1) return false;
      if (path.length === 1 && !(typeof path[0] === "string" && path[0].length <= LONG_NAME))
        return false;
      if (!Array.isArray(argumentList) || data.keywords) return false;
      if (argumentList.length > MAX_SHORT_ARGUMENTS) return false;
      const values = [];
      for (const wire of argumentList) {
        if (wire?.type !== "RAW" || !plain(wire.value)) return false;
        values.push(wire.value ?? undefined);
      }
      return ask(slot, id, names.get(path[0]) ?? path[0], values);
    },
  };
}
