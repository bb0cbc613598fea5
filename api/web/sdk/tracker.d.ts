/** A message of the server; `type` says which. */
export interface ServerMessage {
  type: string;
  event_id?: string;
  channel?: string;
  seq?: number;
  [field: string]: unknown;
}

/** A message to the server. */
export interface ClientMessage {
  type: string;
  [field: string]: unknown;
}

/** One measured location: degrees WGS 84, m/s, degrees from true north, metres. */
export interface Fix {
  latitude: number;
  longitude: number;
  speed?: number | null;
  heading?: number | null;
  accuracy?: number | null;
  /** ISO 8601, or epoch seconds or milliseconds; now, when absent. */
  timestamp?: string | number;
}

export type Status =
  | { connected: true }
  | { connected: false; code: number; reason: string; willReconnect: boolean };

export interface TrackerOptions {
  /** ws:// or wss:// address of an endpoint. */
  url: string;
  /** A token; or `getToken`, which is asked for a fresh one whenever one is needed. */
  token?: string;
  getToken?: () => string | Promise<string>;
  /** Each message, once: what the server sends again after a reconnect is left out. */
  onMessage?: (message: ServerMessage) => void;
  onStatus?: (status: Status) => void;
  /** Default true. Endings 4401, 4403 and 4409 are final all the same; 4401 not before `getToken` was asked once more. */
  autoReconnect?: boolean;
  /** Milliseconds: the first wait is a random part of it, and the bound doubles with each attempt up to 30 s. Default 1000. */
  reconnectInterval?: number;
  /** Default: no end. */
  maxReconnectAttempts?: number;
  /** Whose fixes these are: with it they outlive a reload of the page; without it they are kept in memory. */
  keepFor?: string;
  /** Where; default localStorage. */
  storage?: Pick<Storage, "length" | "key" | "getItem" | "setItem" | "removeItem"> | null;
  /** Most fixes kept while offline, the newest; default 100,000. */
  maxBufferedFixes?: number;
  /** Milliseconds between heartbeats, at most 30,000. */
  heartbeatInterval?: number;
  /** Milliseconds without a word from the server after which the connection is given up; default 75,000. */
  silentAfter?: number;
  /** The WebSocket class where the platform has none. */
  WebSocket?: typeof WebSocket;
}

export declare class TrackerClient {
  constructor(options: TrackerOptions);
  readonly isConnected: boolean;
  readonly lastMessage: ServerMessage | null;
  /** Fixes not acknowledged yet. */
  readonly pending: number;
  /** Fixes given up because more than `maxBufferedFixes` waited. */
  readonly dropped: number;
  /** Connect, and stay so. */
  connect(): void;
  /** Disconnect, and stay so; fixes that wait are kept. */
  disconnect(): void;
  /** Hear a channel, from now on and across reconnects: what was missed comes first, else `subscribed` says `recovered: false`.
   * Returns a function that unsubscribes. */
  subscribe(channel: string): () => void;
  unsubscribe(channel: string): void;
  /** Send now; false without a connection. */
  sendMessage(message: ClientMessage): boolean;
  /** Keep a fix until the server has stored it, however long that takes. */
  sendLocation(fix: Fix): void;
}
