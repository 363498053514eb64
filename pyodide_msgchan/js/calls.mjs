// Remote calls of one name, or none, and of plain values: the objects that Comlink makes of them are
// built and taken apart here, so that only plain values cross. All others go the general way.

import { lone } from "./decode.mjs";
import { promisingCall, STEP } from "./enter.mjs";

const LONG_ID = 1000; // as in _comlink.py

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

  /** The last act of a handler, as in bridge.mjs; true. */
  function settle(slot, id, value) {
    if (slot.promising && answeredNow)
      answeredNow(slot.id, true, id, value ?? undefined).catch(reportError);
    else go(slot, answered(slot.id, !slot.promising, id, value ?? undefined));
    return true;
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
    /** Hands a message over if it is a plain one, and says whether it was. */
    take(slot, data) {
      if (data === null || typeof data !== "object") return false;
      const { id, type, path, argumentList, value } = data;
      if (typeof id !== "string" || id.length > LONG_ID) return false;
      if (type === "RAW") return plain(value) && settle(slot, id, value);
      if (type !== "APPLY" || !Array.isArray(path) || path.length > 1) return false;
      if (path.length === 1 && typeof path[0] !== "string") return false;
      if (!Array.isArray(argumentList) || data.keywords) return false;
      const values = [];
      for (const wire of argumentList) {
        if (wire?.type !== "RAW" || !plain(wire.value)) return false;
        values.push(wire.value ?? undefined);
      }
      return ask(slot, id, path[0], values);
    },
  };
}
