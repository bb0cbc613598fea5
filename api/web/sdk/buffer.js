// Fixes that the server has not acknowledged yet, in batches; they outlive a reload of the page.

const BATCH = 200; // fixes; so a message stays below the 64 KiB it may have

/** A driver's fixes in the order they came. A batch never changes once it was sent: it is sent again as it was. */
export class FixBuffer {
  #batches = new Map(); // seq -> {fixes, sent}, oldest first
  #storage;
  #prefix;
  #limit;
  #next;
  #full = false;

  /** Fixes given up because there were more than the limit. */
  dropped = 0;

  /**
   * `storage` is a Storage such as localStorage, or null to keep fixes in memory only; `owner` is whose fixes these are,
   * so that nobody sends another driver's; `limit` is how many are kept at most, the newest.
   */
  constructor({ storage = null, owner = "", limit = 100_000 } = {}) {
    this.#storage = storage;
    this.#prefix = `tracker.fixes/${encodeURIComponent(owner)}/`;
    this.#limit = limit;
    for (const seq of this.#stored()) this.#batches.set(seq, { fixes: this.#load(seq), sent: true });
    this.#next = Math.max(Date.now(), ...this.#batches.keys()) + 1; // never one that was used before
  }

  get size() {
    let size = 0;
    for (const { fixes } of this.#batches.values()) size += fixes.length;
    return size;
  }

  /** Whether fixes would not outlive a reload, because the storage is full or there is none. */
  get inMemoryOnly() {
    return this.#full || this.#storage === null;
  }

  /** Keep a fix until it is acknowledged. */
  add(fix) {
    let seq = [...this.#batches.keys()].at(-1);
    let last = this.#batches.get(seq);
    if (!last || last.sent || last.fixes.length >= BATCH) {
      seq = this.#next++;
      last = { fixes: [], sent: false };
      this.#batches.set(seq, last);
    }
    last.fixes.push(fix);
    this.#save(seq, last.fixes);
    while (this.size > this.#limit && this.#batches.size > 1) {
      const [oldest, { fixes }] = this.#batches.entries().next().value;
      this.dropped += fixes.length;
      this.remove(oldest);
    }
  }

  /** The oldest batch as `{seq, fixes}`, which from now on stays as it is; null when nothing waits. */
  take() {
    for (const [seq, batch] of this.#batches) {
      batch.sent = true;
      return { seq, fixes: batch.fixes };
    }
    return null;
  }

  /** Forget a batch: it is stored, or the server will never take it. Returns whether it was there. */
  remove(seq) {
    this.#storage?.removeItem(this.#prefix + seq);
    return this.#batches.delete(seq);
  }

  #stored() {
    const keys = [];
    for (let i = 0; i < (this.#storage?.length ?? 0); i += 1) keys.push(this.#storage.key(i));
    const seqs = keys.filter((key) => key.startsWith(this.#prefix)).map((key) => Number(key.slice(this.#prefix.length)));
    return seqs.sort((a, b) => a - b);
  }

  #load(seq) {
    try {
      return JSON.parse(this.#storage.getItem(this.#prefix + seq));
    } catch {
      return []; // not written by us: an empty batch is acknowledged, and forgotten
    }
  }

  #save(seq, fixes) {
    try {
      this.#storage?.setItem(this.#prefix + seq, JSON.stringify(fixes));
      this.#full = false;
    } catch {
      this.#full = true; // the quota; they stay in memory, and `inMemoryOnly` says so
    }
  }
}
