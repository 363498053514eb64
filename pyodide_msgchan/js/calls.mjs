// Remote calls of one name, or none, and of plain values: the objects that Comlink makes of them are
// built and taken apart here, so that only plain values cross. All others go the general way.

import { lone } from "./decode.mjs";
import { promisingCall, STEP } from "./enter.mjs";

const LONG_ID = 1000; // as in _comlink.py
const MOST_NAMES = 256; // that cross as numbers; as in _browser.py

const plain = (v) => {
  const type = typeof v;
  return type === "number" || type === "string" || type === "boolean" || v == null;
};
const raw = (value) => ({ type: "RAW", value: lone(value) });

/** The part of the bridge that knows calls; `post` is its own, `asked` and `answered` are Python's. */
export function createCalls({ slots, post, asked, answered, step, pyodide }) {
  const askedNow = promisingCall(pyodide, asked),
    answeredNow = promisingCall(pyodide, answered);

  const go = (slot, left) => {
    if (left === STEP) step.callPromising(slot.id).catch(reportError);
  };

  /** The last act of a handler, as in bridge.mjs: hands over ids and values in turn; true. */
  function settle(slot, ...answers) {
    if (slot.promising && answeredNow) answeredNow(slot.id, true, ...answers).catch(reportError);
    else go(slot, answered(slot.id, !slot.promising, ...answers));
    return true;
  }

  const isAnswer = ({ id, type, value }) =>
    type === "RAW" && typeof id === "string" && id.length <= LONG_ID && plain(value);

  // Python counts the names that it gets, as is done here: from the second time on a number does.
  const names = new Map();
  function brief(name) {
    const number = names.get(name);
    if (number === undefined && name !== undefined && names.size < MOST_NAMES)
      names.set(name, names.size);
    return number ?? name;
  }

  /** The same. A plain result comes back at once, and is sent here. */
  function ask(slot, id, name, values) {
    const answer = (value) => {
      if (value !== undefined && slots.has(slot.id)) post(slot.id, { id, ...raw(value) });
    };
    if (slot.promising && askedNow)
      askedNow(slot.id, true, id, name, ...values).then(answer, reportError);
    else if (slot.promising) go(slot, asked(slot.id, false, id, name, ...values));
    else answer(asked(slot.id, true, id, name, ...values));
    return true;
  }

  return {
    open(id) {
      slots.get(id).calls = true;
    },
    call(id, call, name, ...values) {
      const path = name === undefined ? [] : [name];
      post(id, { id: call, type: "APPLY", path, argumentList: values.map(raw) });
    },
    answer(id, call, value) {
      post(id, { id: call, ...raw(value) });
    },
    settle,
    /** The ids and values, in turn, of the plain answers that a queue begins with, so many at most. */
    answersIn(queue, most) {
      const answers = [];
      for (const { type, data } of queue) {
        if (type !== "message" || data === null || typeof data !== "object" || !isAnswer(data))
          break;
        if (answers.push(data.id, data.value ?? undefined) === 2 * most) break;
      }
      return answers.length > 2 && answers;
    },
    /** Hands a message over if it is a plain one, and says whether it was. */
    take(slot, data) {
      if (data === null || typeof data !== "object") return false;
      if (isAnswer(data)) return settle(slot, data.id, data.value ?? undefined);
      const { id, type, path, argumentList } = data;
      if (typeof id !== "string" || id.length > LONG_ID) return false;
      if (type !== "APPLY" || !Array.isArray(path) || path.length > 1) return false;
      if (path.length === 1 && typeof path[0] !== "string") return false;
      if (!Array.isArray(argumentList) || data.keywords) return false;
      const values = [];
      for (const wire of argumentList) {
        if (wire?.type !== "RAW" || !plain(wire.value)) return false;
        values.push(wire.value ?? undefined);
      }
      return ask(slot, id, brief(path[0]), values);
    },
  };
}
