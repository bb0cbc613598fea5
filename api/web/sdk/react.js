// A tracker connection for as long as a React component is there.

import { useEffect, useMemo, useRef, useState } from "react";

import { TrackerClient } from "./tracker.js";

/** See react.d.ts. Functions may be other ones in each render: the connection stays. */
export function useWebSocket(options) {
  const { url, token, keepFor, autoReconnect, reconnectInterval, maxReconnectAttempts } = options;
  const [isConnected, setConnected] = useState(false);
  const [lastMessage, setLastMessage] = useState(null);
  const newest = useRef(options);
  newest.current = options;

  const client = useMemo(() => {
    const current = newest.current;
    return new TrackerClient({
      ...current,
      getToken: () => newest.current.getToken?.() ?? newest.current.token,
      onStatus: (status) => {
        setConnected(status.connected);
        newest.current.onStatus?.(status);
      },
      onMessage: (message) => {
        setLastMessage(message);
        newest.current.onMessage?.(message);
      },
    });
  }, [url, keepFor, autoReconnect, reconnectInterval, maxReconnectAttempts]);

  useEffect(() => {
    client.connect();
    return () => client.disconnect();
  }, [client, token]);

  const methods = useMemo(
    () =>
      Object.fromEntries(
        ["sendMessage", "subscribe", "unsubscribe", "sendLocation", "connect", "disconnect"].map((name) => [
          name,
          (...values) => client[name](...values),
        ]),
      ),
    [client],
  );
  return { isConnected, lastMessage, ...methods };
}
