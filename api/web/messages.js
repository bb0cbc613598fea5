// A ready message of every type a client may send.

const START = { latitude: 25.033, longitude: 121.5654 };
const STEP = 0.00015; // degrees, about 15 m

let steps = 0;
let seq = 0;

function fix(timestamp) {
  steps += 1;
  return {
    latitude: round(START.latitude + steps * STEP),
    longitude: round(START.longitude + steps * STEP),
    speed: 8.3,
    heading: 45,
    accuracy: 10,
    timestamp: timestamp.toISOString(),
  };
}

const round = (degrees) => Number(degrees.toFixed(6));

/** Message types, each a function from what is known of the connection to a message. */
export const TEMPLATES = {
  heartbeat: () => ({}),
  subscribe: ({ channel, since }) => (since ? { channel, since } : { channel: "drivers" }),
  unsubscribe: ({ channel }) => ({ channel: channel ?? "drivers" }),
  location_update: () => ({ ...fix(new Date()), seq: ++seq }),
  location_batch: () => {
    const now = Date.now();
    return { seq: ++seq, fixes: [4000, 2000, 0].map((ago) => fix(new Date(now - ago))) };
  },
  order_update: ({ orderId }) => ({ order_id: orderId, status: "delivering", details: { notes: "On the way" } }),
  "delivery.confirmed": ({ orderId }) => ({
    order_id: orderId,
    confirmed_at: new Date().toISOString(),
    confirmation_type: "qr_code",
    cylinder_serial: "CYL789",
  }),
  ack: ({ last }) => ({ channel: last?.channel ?? "orders", seq: last?.seq ?? 1 }),
  auth: ({ token }) => ({ token }),
};

/** The text of a fresh message of this type. */
export function compose(kind, known) {
  return JSON.stringify({ type: kind, ...TEMPLATES[kind](known) }, null, 2);
}
