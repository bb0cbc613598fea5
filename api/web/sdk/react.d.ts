import type { ServerMessage, TrackerClient, TrackerOptions } from "./tracker.js";

/** What a component has of its connection. The functions stay the same for as long as the connection does. */
export interface WebSocketConnection
  extends Pick<
    TrackerClient,
    "sendMessage" | "subscribe" | "unsubscribe" | "sendLocation" | "connect" | "disconnect"
  > {
  isConnected: boolean;
  /** The newest message; one that must not miss any message takes `onMessage`, as React may leave out renders. */
  lastMessage: ServerMessage | null;
}

/**
 * A connection from when the component is mounted until it is unmounted. Subscribe in an effect:
 *
 *     useEffect(() => subscribe("orders"), [subscribe]);
 *
 * Another `token` connects anew and resumes; another `url` or `keepFor` is another connection.
 */
export declare function useWebSocket(options: TrackerOptions): WebSocketConnection;
