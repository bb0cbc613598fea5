// A connection to a tracker server that stays: it reconnects, resumes what it subscribed to, and loses no fix.

import { FixBuffer } from "./buffer.js";

const NOT_AUTHENTICATED = 4401;
const TERMINAL = new Set([NOT_AUTHENTICATED, 4403, 4409]); // not to be tried again by itself
const TEMPORARY = new Set(
  ["draining", "engine_unavailable", "internal_error", "overloaded", "store_unavailable"], // the same batch may be sent again
);
const LONGEST_WAIT_MS = 30_000;
const HEARTBEAT_MS = 30_000;
const SILENT_MS = 2.5 * HEARTBEAT_MS; // nothing heard for so long: the connection is dead
const ACK_MS = 100; // messages that come within it are acknowledged at once
const REMEMBERED = 1000; // event ids, to drop what is sent twice

/** See tracker.d.ts for the options and what each method does. */
export class TrackerClient {
  #options;
  #buffer;
  #socket = null;
  #ready = false; // authenticated
  #wanted = false; // connect() was called
  #attempt = 0;
  #timer = null;
  #pulse = null;
  #heardAt = 0;
  #channels = new Map(); // channel -> {epoch, seq} of the newest message, null before the first
  #told = new Set();
  #joined = new Set(); // channels, on this connection
  #unacknowledged = new Map(); // channel -> seq of the newest message
  #acknowledging = null; // timer
  #sent = null; // seq of the batch on its way
  #wait = null; // ms until the next attempt, where the server says so
  #fresh = false; // the token was fetched for this attempt

  /** The newest message received. */
  lastMessage = null;

  constructor(options) {
    this.#options = {
      autoReconnect: true,
      reconnectInterval: 1000,
      maxReconnectAttempts: Infinity,
      keepFor: "",
      WebSocket: globalThis.WebSocket,
      onMessage: () => {},
      onStatus: () => {},
      ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
    };
    const { storage, keepFor: owner, maxBufferedFixes: limit } = this.#options;
    this.#buffer = new FixBuffer({ storage: owner ? (storage ?? globalThis.localStorage) : null, owner, limit });
  }

  get isConnected() {
    return this.#ready;
  }

  /** Fixes not acknowledged yet. */
  get pending() {
    return this.#buffer.size;
  }

  /** Fixes given up because more were waiting than `maxBufferedFixes`. */
  get dropped() {
    return this.#buffer.dropped;
  }

  connect() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#attempt = 0;
    this.#fresh = false;
    globalThis.addEventListener?.("online", this.#online);
    this.#open();
  }

  disconnect() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.("online", this.#online);
    this.#socket?.close(1000);
    this.#left(1000, "");
  }

  subscribe(channel) {
    if (!this.#channels.has(channel)) {
      this.#channels.set(channel, null);
      if (this.#ready) this.#send({ type: "subscribe", channel });
    }
    return () => this.unsubscribe(channel);
  }

  unsubscribe(channel) {
    if (this.#channels.delete(channel) && this.#ready) this.#send({ type: "unsubscribe", channel });
  }

  /** Send a message now; false, and nothing is sent, without a connection. */
  sendMessage(message) {
    return this.#ready && this.#send(message);
  }

  sendLocation(fix) {
    this.#buffer.add({ timestamp: new Date().toISOString(), ...fix });
    this.#sendBatch();
  }

  // The connection

  async #open() {
    const { url, getToken, token, WebSocket } = this.#options;
    let current;
    try {
      current = getToken ? await getToken() : token;
    } catch (error) {
      return this.#left(0, `no token: ${error.message ?? error}`, true);
    }
    if (!this.#wanted || this.#socket) return;
    const protocols = current ? ["tracker.v1", `bearer.${current}`] : ["tracker.v1"]; // not in the URL, which gets logged
    let socket;
    try {
      socket = new WebSocket(url, protocols);
    } catch {
      return this.#left(NOT_AUTHENTICATED, "the URL or the token is not one", true);
    }
    const mine = (handle) => (event) => socket === this.#socket && handle(event);
    this.#socket = socket;
    this.#heardAt = Date.now();
    socket.onmessage = mine(({ data }) => this.#receive(JSON.parse(data)));
    socket.onclose = mine(({ code, reason }) => this.#left(code, reason));
    this.#pulse = setInterval(() => this.#beat(), Math.min(HEARTBEAT_MS, this.#options.heartbeatInterval ?? HEARTBEAT_MS));
  }

  #beat() {
    const silent = Date.now() - this.#heardAt > (this.#options.silentAfter ?? SILENT_MS);
    if (silent) {
      const dead = this.#socket; // its closing handshake will not come
      this.#left(1006, "nothing heard from the server");
      dead.close();
    } else if (this.#ready) {
      this.#send({ type: "heartbeat" });
    }
  }

  #left(code, reason, had = this.#socket !== null) {
    clearInterval(this.#pulse);
    this.#socket = null;
    this.#ready = false;
    this.#sent = null;
    this.#joined.clear();
    const again = had && this.#mayTryAgain(code);
    if (again) this.#later();
    else this.#wanted = false;
    if (had) this.#options.onStatus({ connected: false, code, reason, willReconnect: again });
  }

  #mayTryAgain(code) {
    const { autoReconnect, maxReconnectAttempts, getToken } = this.#options;
    if (!this.#wanted || !autoReconnect || this.#attempt >= maxReconnectAttempts) return false;
    if (code !== NOT_AUTHENTICATED) return !TERMINAL.has(code);
    const renewable = Boolean(getToken) && !this.#fresh; // a token may end between being fetched and being used: once
    this.#fresh = true;
    return renewable;
  }

  /** Try again after a random part of a bound that doubles each time ("full jitter"), or when the server says. */
  #later() {
    const bound = Math.min(this.#options.reconnectInterval * 2 ** this.#attempt, LONGEST_WAIT_MS);
    const wait = this.#wait ?? Math.random() * bound;
    this.#wait = null;
    this.#attempt += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  #online = () => {
    if (!this.#wanted || this.#socket) return;
    clearTimeout(this.#timer);
    this.#open();
  };

  #send(message) {
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  // What comes in

  #receive(message) {
    this.#heardAt = Date.now();
    if (!this.#isNews(message)) return;
    this.#HANDLERS[message.type]?.(message);
    this.lastMessage = message;
    this.#options.onMessage(message);
  }

  /** Remember how far a channel is; false for what was told before. */
  #isNews({ event_id: id, channel, seq }) {
    if (!id) return true;
    const at = this.#channels.get(channel);
    if (at) at.seq = Math.max(at.seq, seq);
    this.#unacknowledged.set(channel, Math.max(seq, this.#unacknowledged.get(channel) ?? 0));
    this.#acknowledging ??= setTimeout(() => this.#acknowledge(), ACK_MS);
    if (this.#told.has(id)) return false;
    this.#told.add(id);
    if (this.#told.size > REMEMBERED) this.#told.delete(this.#told.values().next().value);
    return true;
  }

  /** Also of channels that are not personal: what is told there may wait for this user as a personal message, too. */
  #acknowledge() {
    this.#acknowledging = null;
    if (!this.#ready) return;
    for (const [channel, seq] of this.#unacknowledged) {
      if (!channel.startsWith("user:") && !this.#joined.has(channel)) continue; // what was missed comes before `subscribed`
      this.#unacknowledged.delete(channel);
      this.#send({ type: "ack", channel, seq });
    }
  }

  #HANDLERS = {
    connection: ({ status }) => {
      if (status !== "connected" || this.#ready) return;
      this.#ready = true;
      this.#attempt = 0;
      this.#fresh = false;
      for (const [channel, since] of this.#channels) this.#send({ type: "subscribe", channel, ...(since && { since }) });
      this.#options.onStatus({ connected: true });
      this.#sendBatch();
    },
    subscribed: ({ channel, epoch, seq }) => {
      this.#joined.add(channel);
      this.#acknowledge();
      this.#channels.set(channel, { epoch, seq }); // also what sendMessage, or the server by itself, subscribed to
    },
    unsubscribed: ({ channel }) => {
      this.#joined.delete(channel);
      this.#unacknowledged.delete(channel);
      this.#channels.delete(channel);
    },
    "location.ack": ({ seq }) => this.#settled(seq),
    error: ({ code, ref }) => {
      if (ref === undefined || ref !== this.#sent) return;
      if (!TEMPORARY.has(code)) return this.#settled(ref);
      this.#sent = null;
      setTimeout(() => this.#sendBatch(), Math.random() * this.#options.reconnectInterval);
    },
    "auth.expiring": async () => {
      const socket = this.#socket;
      const token = await this.#options.getToken?.();
      if (token && socket === this.#socket && this.#ready) this.#send({ type: "auth", token });
    },
    reconnect: ({ after_ms: wait }) => {
      this.#wait = wait; // the server is about to close
    },
  };

  // Fixes

  /** One batch is on its way at a time, so that a driver's fixes stay in order and a slow network is not flooded. */
  #sendBatch() {
    if (!this.#ready || this.#sent !== null) return;
    const batch = this.#buffer.take();
    if (!batch) return;
    this.#sent = batch.seq;
    this.#send({ type: "location_batch", ...batch });
  }

  #settled(seq) {
    this.#buffer.remove(seq);
    if (seq === this.#sent) this.#sent = null;
    this.#sendBatch();
  }
}
