// The scan of a packed stream before Python's unpickler reads it. _codec/packed/opcodes.py is the
// same scan in Python: it has the table of opcodes, and says what the scan guarantees and why. The
// scan takes much of the time of a message, so each entry of the stack and of the memo is one
// number.

// The actions of the opcodes, in the order of _codec/packed/opcodes.py.
export const ACTIONS =
  "constant short fixed2 fixed4 fixed8 text1 data1 data4 long1 long4 data8 " +
  "list dict set nothing mark append appends setitem setitems additems " +
  "frozenset tuple tuple1 tuple2 tuple3 memoize get1 get4 pop popMark global reduce frame stop";
const ACTION = Object.fromEntries(ACTIONS.split(" ").map((word, i) => [word, i + 1]));
const {
  constant: CONSTANT,
  short: SHORT1,
  fixed2: FIXED2,
  fixed4: FIXED4,
  fixed8: FIXED8,
} = ACTION;
const { text1: TEXT1, list: LIST, dict: DICT, mark: MARK, appends: APPENDS } = ACTION;
const { setitems: SETITEMS, memoize: MEMOIZE, get1: GET1, stop: STOP } = ACTION;
// The kinds of values on the stack. Those from MAKE on can't be put into another value.
const [VALUE, TAG, IN_LIST, IN_DICT, IN_SET, MADE, ARGS, MODULE] = [0, 1, 2, 3, 4, 5, 6, 7];
const [MAKE, FILL, TARGET, FILLING, FILLED] = [10, 11, 12, 13, 14];

// The bits of a word, from the lowest: kind (4), depth (10), weight (9), tag + 1 (9).
const DEPTH = 4,
  WEIGHT = 14,
  TAGGED = 23;
const MAX_KEPT = 1 << 16; // Numbers. A larger array is released after the scan.
const MAX_WEIGHT = 511; // What 9 bits can hold.
const SCALAR = VALUE | (1 << WEIGHT);
const UNTAGGED = (1 << TAGGED) - 1;
// Behind where a tag would be: of a scalar, that its hash can be chosen; of a container, the weight of
// its keys of which that is so.
const CHOSEN = 1 << 31;
const MOST_COUNTED = 511;
const isScalar = (word) => (word & UNTAGGED & ~TAG) === SCALAR;
const kindIn = (word) => word & 15;
const depthIn = (word) => (word >> DEPTH) & 1023;
const weightIn = (word) => (word >> WEIGHT) & MAX_WEIGHT;
const tagIn = (word) => (word >>> TAGGED) - 1;

const isChosen = (word) => word < 0 && kindIn(word) === VALUE;
const remembered = (word, kind) =>
  kind === VALUE ? word : word & UNTAGGED & (kind >= MODULE ? -1 : ~15);

// What is written in place of an opcode so that Python counts hashes; see _codec/packed/opcodes.py.
const COUNTED = {
  setitem: [0x86, 0x86, 0x51],
  setitems: [0x74, 0x86, 0x51],
  additems: [0x74, 0x86, 0x51],
  frozenset: [0x74, 0x85, 0x51],
};

// For each action that only pushes a value, its opcode's size in bytes and the word; else 0.
const SIZES = new Int32Array(64),
  WORDS = new Int32Array(64).fill(SCALAR);
for (const [action, size] of [
  [CONSTANT, 1],
  [SHORT1, 2],
  [FIXED2, 3],
  [FIXED4, 5],
  [FIXED8, 9],
])
  SIZES[action] = size;
SIZES[LIST] = SIZES[DICT] = 1;
WORDS[SHORT1] = SCALAR | TAG;
WORDS[FIXED8] = SCALAR | CHOSEN;
WORDS[LIST] = IN_LIST | (1 << DEPTH);
WORDS[DICT] = IN_DICT | (1 << DEPTH);

class Refused extends Error {}
/** @type {(why: string) => never} */
const refuse = (why) => {
  throw new Refused(why);
};

const NO_BYTES = new Uint8Array(),
  NO_VIEW = new DataView(NO_BYTES.buffer);
const empty = () => new Int32Array(1 << 12);
/** @type {(array: Int32Array<ArrayBuffer>) => Int32Array<ArrayBuffer>} */
const doubled = (array) => {
  const larger = new Int32Array(2 * array.length);
  larger.set(array);
  return larger;
};

/** Returns whether these values are only scalars, which can be put into the container below them. */
const isEndOf = (words, low, top, pairs) => {
  if (pairs && (top - low) % 2) return false;
  if (kindIn(words[low - 1]) !== (pairs ? IN_DICT : IN_LIST)) return false;
  for (let j = low; j < top; j++) {
    if (!isScalar(words[j])) return false;
    if (pairs && words[j] < 0 && (j - low) % 2 === 0 && isChosen(words[j])) return false;
  }
  return true;
};

const deeper = (word, depth) =>
  depth > depthIn(word) ? (word & ~(1023 << DEPTH)) | (depth << DEPTH) : word;

/**
 * The minimum depths of ranges of the memo, in linear time; see _Depths in
 * _codec/packed/opcodes.py.
 */
class Depths {
  leaves = empty(); // For each value in the memo: its node plus 1, or 0 if it has none.
  /** @type {number[]} */ parents = [];
  /** @type {number[]} */ deepest = [];
  /** The start, end and node of each range that is in no other. @type {number[][]} */ roots = [];

  /** Forgets all ranges. */
  clear() {
    if (this.parents.length) this.leaves = empty();
    this.parents.length = this.deepest.length = this.roots.length = 0;
  }

  /** Sets the minimum depth of all values from m to the end of the memo, whose array is given. */
  deepen(m, end, depth, memo) {
    const { parents, roots } = this;
    const node = parents.push(-1) - 1;
    this.deepest.push(depth);
    if (this.leaves.length < memo.length) {
      const larger = new Int32Array(memo.length);
      larger.set(this.leaves);
      this.leaves = larger;
    }
    let before = end;
    while (roots.length && roots[roots.length - 1][0] >= m) {
      const [start, last, root] = /** @type {number[]} */ (roots.pop());
      parents[root] = node;
      this.leaves.fill(node + 1, last, before);
      before = start;
    }
    this.leaves.fill(node + 1, m, before);
    roots.push([m, end, node]);
  }

  /** Returns a word of the memo with its minimum depth. */
  applied(word, m) {
    // The depth of a scalar is 0 and can't change.
    if (!this.parents.length || !this.leaves[m] || !depthIn(word)) return word;
    return deeper(word, this.at(this.leaves[m] - 1));
  }

  /** Returns the minimum depth of a node's range, and shortens the path to its root. */
  at(node) {
    const { parents, deepest } = this;
    const path = [];
    let root = node;
    for (; parents[root] >= 0; root = parents[root]) path.push(root);
    let depth = deepest[root];
    for (const passed of path.reverse()) {
      deepest[passed] = depth = Math.max(depth, deepest[passed]);
      parents[passed] = root;
    }
    return depth;
  }
}

/** What the actions do; `scan` is the Scan whose stream has the opcode. */
const passed = (size, weight) => (scan) => {
  scan.take(size(scan));
  scan.push(VALUE, 0, weight);
};
const chosen = (size) => (scan) => {
  scan.take(size(scan));
  scan.put(SCALAR | CHOSEN, -1);
};
const size1 = (scan) => scan.size1(),
  size4 = (scan) => scan.size4(),
  size8 = (scan) => scan.size8();
/** @type {Record<string, (scan: Scan) => void>} */
const STEPS = {
  constant: passed(() => 0, 1),
  short: (scan) => scan.push(TAG, 0, 1, scan.size1()),
  fixed2: passed(() => 2, 1),
  fixed4: passed(() => 4, 1),
  fixed8: chosen(() => 8),
  text1: (scan) => scan.text(scan.size1()),
  data1: passed(size1, 1),
  data4: passed(size4, 1),
  long1: chosen(size1),
  long4: passed(size4, 0),
  data8: passed(size8, 0),
  list: (scan) => scan.push(IN_LIST, 1, 0),
  dict: (scan) => scan.push(IN_DICT, 1, 0),
  set: (scan) => scan.push(IN_SET, 1, 0),
  nothing: (scan) => scan.push(ARGS, 1, 1),
  mark: (scan) => scan.marks.push((scan.floor = scan.height)),
  append: (scan) => scan.fill(IN_LIST, scan.few(1)),
  appends: (scan) => scan.fill(IN_LIST, scan.marked()),
  setitem: (scan) => scan.fill(IN_DICT, scan.few(2), "setitem"),
  setitems: (scan) => scan.fill(IN_DICT, scan.marked(), "setitems"),
  additems: (scan) => scan.fill(IN_SET, scan.marked(), "additems"),
  frozenset: (scan) => scan.frozenset(scan.marked()),
  tuple: (scan) => scan.tuple(scan.marked()),
  tuple1: (scan) => scan.tuple(scan.few(1)),
  tuple2: (scan) => scan.pair(scan.few(2)),
  tuple3: (scan) => scan.tuple(scan.few(3)),
  memoize: (scan) => scan.memoize(),
  get1: (scan) => scan.recall(scan.size1()),
  get4: (scan) => scan.recall(scan.size4()),
  pop: (scan) => scan.drop(scan.few(1)),
  popMark: (scan) => scan.drop(scan.marked()),
  global: (scan) => scan.named(),
  reduce: (scan) => scan.call(),
  frame(scan) {
    if (scan.size8() > scan.bytes.length - scan.at) refuse("cut off");
  },
};
const BY_ACTION = [undefined, ...ACTIONS.split(" ").map((word) => STEPS[word])];

/** The scan of streams, one after the other. */
export class Scan {
  /** Whether the last stream has no names, so that it calls no functions. */
  plain = true;
  // The state of one scan, which completes before the next one starts.
  stack = empty(); // Words.
  places = empty(); // The memo index of each value on the stack, or -1.
  height = 0;
  memo = empty(); // Words.
  owners = empty(); // The stack index of each value in the memo while it can get items, or -1.
  known = 0;
  depths = new Depths();
  /** @type {number[]} */ marks = [];
  floor = 0; // The stack index of the last mark.
  /** Memo indexes of values that a value above them on the stack refers to. @type {Set<number>} */
  looped = new Set();
  /** @type {Uint8Array<any>[]} */ parts = [];
  part = 0;
  /** @type {Uint8Array<any>} */ bytes = NO_BYTES;
  /** @type {DataView<any>} */ view = NO_VIEW;
  at = 0;
  /** Part, place and replacement of each opcode that inserts keys to be counted. @type {any[]} */
  counted = [];

  constructor(table, names, limit, [hashable, keyDepth, keyWeight, uncounted]) {
    this.table = table;
    /** @type {Uint8Array[]} */
    this.names = names.map((text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
    this.lengths = this.names.map((bytes) => bytes.length);
    this.limit = limit;
    this.hashable = hashable;
    this.keyDepth = keyDepth;
    this.keyWeight = keyWeight;
    this.uncounted = uncounted;
  }

  /** Returns the reason why a stream is refused, or "" if it may be decoded. */
  refusalOf(/** @type {Uint8Array[]} */ segments) {
    this.parts = segments;
    this.plain = true;
    this.counted = [];
    try {
      this.run();
      return "";
    } catch (error) {
      if (error instanceof Refused) return error.message;
      throw error;
    } finally {
      this.height = this.marks.length = this.known = this.floor = 0;
      this.looped.clear();
      this.depths.clear();
      if (this.stack.length > MAX_KEPT) [this.stack, this.places] = [empty(), empty()];
      if (this.memo.length > MAX_KEPT) [this.memo, this.owners] = [empty(), empty()];
      [this.parts, this.bytes] = [[], NO_BYTES];
      this.view = NO_VIEW;
    }
  }

  /** Returns the segments of the last stream in the form that is decoded. */
  prepare(/** @type {Uint8Array[]} */ segments) {
    const { counted } = this;
    let next = 0;
    return segments.map((segment, number) => {
      const first = next;
      while (next < counted.length && counted[next][0] === number) next++;
      const replaced = counted.slice(first, next);
      if (!replaced.length) return segment;
      const prepared = new Uint8Array(segment.length + 2 * replaced.length);
      let start = 0,
        end = 0;
      for (const [, place, call] of replaced) {
        prepared.set(segment.subarray(start, place), end);
        end += place - start;
        prepared.set(call, end);
        end += call.length;
        start = place + 1;
      }
      prepared.set(segment.subarray(start), end);
      return prepared;
    });
  }

  run() {
    if (!this.parts.length) refuse("cut off");
    this.enter(0);
    const i = this.take(2);
    if (this.bytes[i] !== 0x80 || this.bytes[i + 1] !== 5) refuse("no stream of this format");
    for (;;) {
      this.scanFastPath();
      const byte = this.size1(),
        action = this.table[byte];
      if (action === STOP) break;
      const step = BY_ACTION[action];
      if (!step) return refuse(`the opcode 0x${byte.toString(16).padStart(2, "0")} is not allowed`);
      step(this);
    }
    if (this.height !== 1 || this.marks.length || kindIn(this.stack[0]) >= MAKE)
      refuse("not one value");
    if (this.at !== this.bytes.length || this.part !== this.parts.length - 1)
      refuse("more than one value");
  }

  /**
   * Scans while the opcodes are the most frequent ones. It does the same as `STEPS`, in a third of
   * the time, because it makes few calls and uses local variables only.
   */
  scanFastPath() {
    if (this.height && kindIn(this.stack[this.height - 1]) === FILL) return; // another step recalls then
    const { table, bytes, stack, places, memo, owners, marks, lengths } = this;
    const { leaves } = this.depths,
      deepened = this.depths.parents.length > 0;
    const last = bytes.length - 257; // The longest of these opcodes has 257 bytes.
    let { at, height, known, floor } = this;
    steps: while (at < last && height < stack.length && known < memo.length) {
      const action = table[bytes[at]],
        n = bytes[at + 1];
      if (SIZES[action]) {
        stack[height] = action === SHORT1 ? WORDS[action] | ((n + 1) << TAGGED) : WORDS[action];
        places[height++] = -1;
        at += SIZES[action];
        continue;
      }
      switch (action) {
        case GET1:
          if (n >= known || owners[n] >= 0 || (deepened && leaves[n])) break steps;
          stack[height] = memo[n];
          places[height++] = n;
          at += 2;
          break;
        case MEMOIZE: {
          const kind = kindIn(stack[height - 1]);
          if (height <= floor || places[height - 1] >= 0 || kind > IN_SET) break steps;
          places[height - 1] = known;
          memo[known] = remembered(stack[height - 1], kind);
          owners[known++] = kind > TAG ? height - 1 : -1;
          at++;
          break;
        }
        case TEXT1:
          if (lengths.includes(n)) break steps;
          stack[height] = SCALAR;
          places[height++] = -1;
          at += 2 + n;
          break;
        case MARK:
          marks.push((floor = height));
          at++;
          break;
        case SETITEMS:
        case APPENDS: {
          const before = marks.length > 1 ? marks[marks.length - 2] : 0;
          if (!marks.length || floor <= before) break steps;
          if (!isEndOf(stack, floor, height, action === SETITEMS)) break steps;
          height = floor;
          marks.pop();
          floor = before;
          at++;
          break;
        }
        default:
          break steps;
      }
    }
    [this.at, this.height, this.known, this.floor] = [at, height, known, floor];
  }

  enter(i) {
    this.part = i;
    const bytes = (this.bytes = this.parts[i]);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  /** Skips bytes, which must be in one segment, and returns where they start. */
  take(n) {
    if (this.at === this.bytes.length && this.part + 1 < this.parts.length)
      this.enter(this.part + 1);
    if (n > this.bytes.length - this.at) refuse("cut off");
    this.at += n;
    return this.at - n;
  }

  // `take` comes first: it can change `bytes` and `view`.
  size1() {
    const i = this.take(1);
    return this.bytes[i];
  }

  size4() {
    const i = this.take(4);
    return this.view.getUint32(i, true);
  }

  size8() {
    const i = this.take(8);
    return this.view.getUint32(i, true) + this.view.getUint32(i + 4, true) * 2 ** 32;
  }

  put(word, place) {
    if (this.height === this.stack.length)
      [this.stack, this.places] = [doubled(this.stack), doubled(this.places)];
    this.stack[this.height] = word;
    this.places[this.height++] = place;
  }

  push(kind, depth, weight, tag = -1) {
    if (depth > this.limit) refuse(`nested deeper than ${this.limit} levels`);
    this.put(kind | (depth << DEPTH) | (weight << WEIGHT) | ((tag + 1) << TAGGED), -1);
  }

  text(n) {
    const i = this.take(n),
      { bytes } = this;
    const m = this.names.findIndex(
      (one) => n === one.length && one.every((c, j) => c === bytes[i + j]),
    );
    this.put(m < 0 ? SCALAR : SCALAR | (MODULE + m), -1);
  }

  /** Returns the stack index of the last n values, which must be above the last mark. */
  few(n) {
    if (this.height - n < this.floor) refuse("nothing to take");
    return this.height - n;
  }

  marked() {
    const { marks } = this;
    const start = marks.pop();
    if (start === undefined) return refuse("no mark");
    this.floor = marks.length ? marks[marks.length - 1] : 0;
    return start;
  }

  /**
   * Removes the values from `start` on, and returns their depth. No more items are added to them.
   */
  taken(start, allow = -1) {
    const { stack, places, owners } = this;
    let depth = 0;
    for (let i = this.height - 1; i >= start; i--) {
      const word = stack[i];
      if (isScalar(word)) continue;
      if (kindIn(word) >= MAKE && kindIn(word) !== allow) refuse("a function among values");
      if (depthIn(word) > depth) depth = depthIn(word);
      const m = places[i];
      if (m < 0 || owners[m] !== i) continue;
      owners[m] = -1;
      if (this.looped.delete(m)) this.depths.deepen(m, this.known, depthIn(word), this.memo);
    }
    this.height = start;
    return depth;
  }

  deepen(i, depth) {
    if (depth > this.limit) refuse(`nested deeper than ${this.limit} levels`);
    this.stack[i] = deeper(this.stack[i], depth);
    const m = this.places[i];
    if (m >= 0) this.memo[m] = deeper(this.memo[m], depth);
  }

  /** Sees that these can be keys; gives the weight of those whose hashes can be chosen. */
  keys(start, step) {
    let chosen = 0;
    for (let i = start; i < this.height; i += step) {
      const word = this.stack[i];
      if (isScalar(word)) {
        if (isChosen(word)) chosen++;
        continue;
      }
      const weight = weightIn(word);
      if (weight < 1 || weight > this.keyWeight || depthIn(word) > this.keyDepth)
        refuse("a key that can't be one");
      chosen += weight;
    }
    return chosen;
  }

  count(how) {
    this.plain = false;
    this.counted.push([this.part, this.at - 1, COUNTED[how]]);
  }

  fill(kind, start, how = "") {
    const { stack } = this;
    if (start <= this.floor) refuse("nothing to take");
    if (kind === IN_DICT && (this.height - start) % 2) refuse("a key without a value");
    if (kindIn(stack[start - 1]) !== kind) refuse("items for what holds none");
    if (kind !== IN_LIST) {
      const owner = stack[start - 1],
        chosen = this.keys(start, kind === IN_DICT ? 2 : 1),
        all = chosen + (owner >>> TAGGED);
      stack[start - 1] = (owner & UNTAGGED) | (Math.min(all, MOST_COUNTED) << TAGGED);
      if (chosen && all > this.uncounted) this.count(how);
    }
    this.deepen(start - 1, this.taken(start) + 1);
  }

  frozenset(start) {
    if (this.keys(start, 1) > this.uncounted) this.count("frozenset");
    this.push(VALUE, this.taken(start) + 1, 0);
  }

  tuple(start) {
    const { stack, height } = this;
    let weight = 1;
    for (let i = start; i < height; i++) {
      const own = weightIn(stack[i]);
      weight = own && weight ? Math.min(weight + own, MAX_WEIGHT) : 0;
    }
    const tag = height > start && kindIn(stack[start]) === TAG ? tagIn(stack[start]) : -1;
    this.push(ARGS, this.taken(start) + 1, Math.min(weight, this.keyWeight + 1), tag);
  }

  /** A tuple of two values: the arguments of `fill` if the first is what is to be filled. */
  pair(start) {
    if (kindIn(this.stack[start]) !== TARGET) return this.tuple(start);
    const depth = this.taken(start + 1);
    this.height = start;
    this.push(FILLING, depth, 0);
  }

  drop(start) {
    const filled = this.height === start + 1 && kindIn(this.stack[start]) === FILLED;
    const depth = this.taken(start, filled ? FILLED : -1) + (filled ? 0 : 1);
    if (this.height) this.deepen(this.height - 1, depth);
  }

  memoize() {
    const i = this.few(1),
      word = this.stack[i],
      kind = kindIn(word);
    if (this.places[i] >= 0 || kind > FILL) refuse("nothing to remember");
    if (this.known === this.memo.length)
      [this.memo, this.owners] = [doubled(this.memo), doubled(this.owners)];
    this.places[i] = this.known;
    this.memo[this.known] = remembered(word, kind);
    this.owners[this.known++] = kind > TAG && kind <= MADE ? i : -1;
  }

  recall(m) {
    if (m >= this.known) refuse("a reference to nothing");
    const { height, owners, stack } = this;
    let word = this.depths.applied(this.memo[m], m);
    if (height && kindIn(stack[height - 1]) === FILL) {
      this.few(2);
      if (owners[m] !== height - 2 || kindIn(stack[height - 2]) !== MADE)
        refuse("not what is to be filled");
      word = (word & ~15) | TARGET;
    } else if (owners[m] >= 0) this.looped.add(m);
    this.put(word, m);
  }

  named() {
    const i = this.few(2),
      kind = kindIn(this.stack[i + 1]);
    if (kindIn(this.stack[i]) !== MODULE || (kind !== MODULE + 1 && kind !== MODULE + 2))
      refuse("a name that is not allowed");
    this.taken(i);
    this.plain = false;
    this.push(kind === MODULE + 1 ? MAKE : FILL, 0, 0);
  }

  call() {
    const i = this.few(2),
      f = kindIn(this.stack[i]),
      word = this.stack[i + 1];
    if (!(f === MAKE && kindIn(word) === ARGS) && !(f === FILL && kindIn(word) === FILLING))
      refuse("a call that is not allowed");
    this.height = i; // `taken` is not needed: no items can be added to either value.
    if (f === FILL) return this.push(FILLED, depthIn(word), 0);
    const hashed = tagIn(word) >= 0 && tagIn(word) < this.hashable;
    this.push(MADE, depthIn(word) - 1, hashed ? weightIn(word) : 0);
  }
}
