// The packed lane: its envelopes, and the scan of what comes in one before Python's unpickler sees
// it. What the scan promises, and why, stands in _scan.py, which is the same scan in Python; the
// table of opcodes comes from there.

// What each opcode does, in the order of _scan.py.
const ACTIONS =
  "constant short fixed2 fixed4 fixed8 text1 data1 data4 long4 data8 " +
  "list dict set nothing mark append appends setitem setitems additems " +
  "frozenset tuple tuple1 tuple2 tuple3 memoize get1 get4 pop popMark global reduce frame stop";
// Kinds of what is on the stack; from MAKE on it can't be put anywhere.
const [VALUE, IN_LIST, IN_DICT, IN_SET, MADE, ARGS, TAG, MODULE] = [0, 1, 2, 3, 4, 5, 6, 7];
const [MAKE, FILL, TARGET, FILLING, FILLED] = [10, 11, 12, 13, 14];
const CLONED = 1024; // bytes; moving a shorter stream costs more than cloning it

class Refused extends Error {}
const refuse = (why) => {
  throw new Refused(why);
};

/** Whether this is the data of a message that Python has packed. */
export const isEnvelope = (data) =>
  data !== null &&
  typeof data === "object" &&
  (Array.isArray(data.msgchan) || ArrayBuffer.isView(data.msgchan)) &&
  Array.isArray(data.side ?? []) &&
  Array.isArray(data.buffers ?? []);

/** The bytes of a part of an envelope; undefined if it is none, or memory that may change. */
export function bytesOf(part) {
  const { buffer, byteOffset, byteLength } = ArrayBuffer.isView(part) ? part : { buffer: part };
  const own = Object.prototype.toString.call(buffer) === "[object ArrayBuffer]";
  return own ? new Uint8Array(buffer, byteOffset, byteLength) : undefined;
}

/** The parts of the stream in an envelope. */
export const partsOf = ({ msgchan }) => (Array.isArray(msgchan) ? msgchan : [msgchan]);

/** Puts a stream that is all of a message, and names nothing, into memory; gives its size, or 0. */
export function putAlone(data, memory, scan) {
  const parts = isEnvelope(data) ? partsOf(data) : [];
  const stream = parts.length === 1 ? bytesOf(parts[0]) : undefined;
  if (!stream || stream.length > memory.length) return 0;
  memory.set(stream);
  return !scan([memory.subarray(0, stream.length)]) && scan.plain ? stream.length : 0;
}

/** Gives the data of a message, and the buffers that go with it, each written for it alone. */
export function seal(segments, side, buffers) {
  if (!side && !buffers && segments.length === 1 && segments[0].length <= CLONED)
    return [{ msgchan: segments[0] }, []];
  const own = (part) =>
    part.byteLength === part.buffer.byteLength ? part.buffer : part.slice().buffer;
  const msgchan = segments.map(own),
    beside = buffers?.map(own) ?? [];
  return [{ msgchan, side: side ?? [], buffers: beside }, msgchan.concat(beside)];
}

/**
 * Gives the scan: a function that says what is wrong with segments; nothing if they may be read. Its
 * `plain` tells of the last ones whether they name nothing, so that reading them calls nothing.
 */
export function createScan(table, names, limit, hashable, keyDepth, keyWeight) {
  // The state of one scan; it runs to its end before the next one.
  const kind = [],
    depth = [],
    weight = [],
    tag = [],
    index = [], // in the memo, or -1
    looped = [];
  const memoKind = [],
    memoDepth = [],
    memoWeight = [],
    owner = []; // where on the stack it is, while more may come into it; else -1
  const marks = [];
  const name = names.map((text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
  let height = 0,
    parts,
    part,
    bytes,
    view,
    at;

  function enter(i) {
    part = i;
    bytes = parts[i];
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    at = 0;
  }

  /** Passes over bytes, which stand in one segment; gives where they begin. */
  function take(n) {
    if (at === bytes.length && part + 1 < parts.length) enter(part + 1);
    if (n > bytes.length - at) refuse("cut off");
    at += n;
    return at - n;
  }

  // Each takes first, since that may change what `bytes` and `view` are.
  const size1 = () => {
    const i = take(1);
    return bytes[i];
  };
  const size4 = () => {
    const i = take(4);
    return view.getUint32(i, true);
  };
  const size8 = () => {
    const i = take(8);
    return view.getUint32(i, true) + view.getUint32(i + 4, true) * 2 ** 32;
  };

  function push(k, d, w, t = -1) {
    if (d > limit) refuse(`nested deeper than ${limit} levels`);
    kind[height] = k;
    depth[height] = d;
    weight[height] = w;
    tag[height] = t;
    index[height] = -1;
    looped[height++] = false;
  }

  const scalar = () => push(VALUE, 0, 1);

  function text(n) {
    const i = take(n);
    let k = VALUE;
    for (let m = 0; m < 3; m++)
      if (n === name[m].length && name[m].every((byte, j) => byte === bytes[i + j])) k = MODULE + m;
    push(k, 0, 1);
  }

  /** Sees that so many are on the stack above the last mark. */
  function floor(n) {
    if (height - n < (marks.length ? marks[marks.length - 1] : 0)) refuse("nothing to take");
  }

  function marked() {
    if (!marks.length) refuse("no mark");
    return marks.pop();
  }

  const few = (n) => {
    floor(n);
    return height - n;
  };

  /** Takes what stands from `start` on, and gives how deep it is; nothing more comes into it. */
  function taken(start, allow = -1) {
    let deepest = 0;
    for (let i = start; i < height; i++) {
      if (kind[i] >= MAKE && kind[i] !== allow) refuse("a function among values");
      if (depth[i] > deepest) deepest = depth[i];
      const m = index[i];
      if (m < 0 || owner[m] !== i) continue;
      owner[m] = -1;
      if (looped[i])
        for (let j = m; j < memoDepth.length; j++)
          if (memoDepth[j] < depth[i]) memoDepth[j] = depth[i];
    }
    height = start;
    return deepest;
  }

  function deepen(i, d) {
    if (d > limit) refuse(`nested deeper than ${limit} levels`);
    if (d > depth[i]) depth[i] = d;
    const m = index[i];
    if (m >= 0 && memoDepth[m] < d) memoDepth[m] = d;
  }

  function keys(start, step) {
    for (let i = start; i < height; i += step)
      if (weight[i] < 1 || weight[i] > keyWeight || depth[i] > keyDepth)
        refuse("a key that can't be one");
  }

  function fill(k, start) {
    if (start <= (marks.length ? marks[marks.length - 1] : 0)) refuse("nothing to take");
    if (k === IN_DICT && (height - start) % 2) refuse("a key without a value");
    if (kind[start - 1] !== k) refuse("items for what holds none");
    if (k !== IN_LIST) keys(start, k === IN_DICT ? 2 : 1);
    deepen(start - 1, taken(start) + 1);
  }

  function tuple(start) {
    let w = 1;
    for (let i = start; i < height; i++) w = weight[i] === 0 || w === 0 ? 0 : w + weight[i];
    const t = height > start && kind[start] === TAG ? tag[start] : -1;
    push(ARGS, taken(start) + 1, Math.min(w, keyWeight + 1), t);
  }

  function drop(start) {
    const filled = height === start + 1 && kind[start] === FILLED;
    const d = taken(start, filled ? FILLED : -1) + (filled ? 0 : 1);
    if (height) deepen(height - 1, d);
  }

  function memoize() {
    floor(1);
    const i = height - 1;
    if (index[i] >= 0 || kind[i] > FILL) refuse("nothing to remember");
    index[i] = memoKind.length;
    memoKind.push(kind[i] >= MODULE ? kind[i] : VALUE);
    memoDepth.push(depth[i]);
    memoWeight.push(weight[i]);
    owner.push(kind[i] > VALUE && kind[i] <= MADE ? i : -1);
  }

  function recall(m) {
    if (m >= memoKind.length) refuse("a reference to nothing");
    let k = memoKind[m];
    if (height && kind[height - 1] === FILL) {
      floor(2);
      if (owner[m] !== height - 2 || kind[height - 2] !== MADE) refuse("not what is to be filled");
      k = TARGET;
    } else if (owner[m] >= 0) looped[owner[m]] = true;
    push(k, memoDepth[m], memoWeight[m]);
    index[height - 1] = m;
  }

  function named() {
    const i = few(2);
    if (kind[i] !== MODULE || (kind[i + 1] !== MODULE + 1 && kind[i + 1] !== MODULE + 2))
      refuse("a name that is not allowed");
    const k = kind[i + 1] === MODULE + 1 ? MAKE : FILL;
    taken(i);
    scan.plain = false;
    push(k, 0, 0);
  }

  function call() {
    const i = few(2);
    const [f, k, d, t] = [kind[i], kind[i + 1], depth[i + 1], tag[i + 1]];
    const w = t >= 0 && t < hashable ? weight[i + 1] : 0;
    if (!(f === MAKE && k === ARGS) && !(f === FILL && k === FILLING))
      refuse("a call that is not allowed");
    height = i; // neither is an owner
    if (f === MAKE) push(MADE, d - 1, w);
    else push(FILLED, d, 0);
  }

  const fixed = (n) => () => {
    take(n);
    scalar();
  };
  const steps = {
    constant: scalar,
    short: () => push(TAG, 0, 1, size1()),
    fixed2: fixed(2),
    fixed4: fixed(4),
    fixed8: fixed(8),
    text1: () => text(size1()),
    data1() {
      take(size1());
      scalar();
    },
    data4() {
      take(size4());
      scalar();
    },
    long4() {
      take(size4());
      push(VALUE, 0, 0);
    },
    data8() {
      take(size8());
      push(VALUE, 0, 0);
    },
    list: () => push(IN_LIST, 1, 0),
    dict: () => push(IN_DICT, 1, 0),
    set: () => push(IN_SET, 1, 0),
    nothing: () => push(ARGS, 1, 1),
    mark: () => marks.push(height),
    append: () => fill(IN_LIST, few(1)),
    appends: () => fill(IN_LIST, marked()),
    setitem: () => fill(IN_DICT, few(2)),
    setitems: () => fill(IN_DICT, marked()),
    additems: () => fill(IN_SET, marked()),
    frozenset() {
      const start = marked();
      keys(start, 1);
      push(VALUE, taken(start) + 1, 0);
    },
    tuple: () => tuple(marked()),
    tuple1: () => tuple(few(1)),
    tuple2() {
      const i = few(2);
      if (kind[i] !== TARGET) return tuple(i);
      const d = taken(i + 1);
      height = i;
      push(FILLING, d, 0);
    },
    tuple3: () => tuple(few(3)),
    memoize,
    get1: () => recall(size1()),
    get4: () => recall(size4()),
    pop: () => drop(few(1)),
    popMark: () => drop(marked()),
    global: named,
    reduce: call,
    frame() {
      if (size8() > bytes.length - at) refuse("cut off");
    },
  };
  const actions = [undefined, ...ACTIONS.split(" ").map((word) => steps[word])];
  const STOP = ACTIONS.split(" ").length;

  function run() {
    if (!parts.length) refuse("cut off");
    enter(0);
    const i = take(2);
    if (bytes[i] !== 0x80 || bytes[i + 1] !== 5) refuse("no stream of this format");
    for (;;) {
      const byte = size1(),
        action = table[byte];
      if (action === STOP) break;
      if (!action) refuse(`the opcode 0x${byte.toString(16).padStart(2, "0")} is not allowed`);
      actions[action]();
    }
    if (height !== 1 || marks.length || kind[0] >= MAKE) refuse("not one value");
    if (at !== bytes.length || part !== parts.length - 1) refuse("more than one value");
  }

  function scan(segments) {
    parts = segments;
    scan.plain = true;
    try {
      run();
      return "";
    } catch (error) {
      if (error instanceof Refused) return error.message;
      throw error;
    } finally {
      height = marks.length = memoKind.length = memoDepth.length = 0;
      memoWeight.length = owner.length = 0;
      parts = bytes = view = undefined;
    }
  }
  return scan;
}
