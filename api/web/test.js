// The test page: one connection, and what is sent and received on it.

import * as log from "./log.js";
import * as map from "./map.js";
import { compose, TEMPLATES } from "./messages.js";
import { TrackerClient } from "./sdk/tracker.js";
import { closing, currentLanguage, kindHint, setLanguage, text } from "./texts.js";

const DELIVERIES = 50; // shown
const $ = (id) => document.getElementById(id);

let client = null;
let socket = null; // of the client, to send what is in the editor as it is
let state = { name: "idle" };
let composed = ""; // the text put into the editor, to see whether it was edited
let wanted = []; // channels to join with the next client
const joined = new Set(); // channels
const seen = new Map(); // channel -> {epoch, seq} of the newest message
let deliveries = []; // newest first
let last = null; // {channel, seq} of the newest reliable message

/** A WebSocket that shows in the log all that goes through it. */
class LoggedSocket extends WebSocket {
  constructor(...values) {
    super(...values);
    socket = this;
    this.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      log.add("in", message.type, message, message.type === "error");
    });
  }

  send(body) {
    super.send(body);
    const token = $("token").value.trim();
    log.add("out", typeOf(body), token ? body.replaceAll(token, "…") : body);
  }
}

// The connection

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  client = new TrackerClient({
    url: `${scheme}//${location.host}/api/v1/websocket/${$("endpoint").value}`,
    getToken: () => $("token").value.trim(),
    WebSocket: LoggedSocket,
    onMessage: receive,
    onStatus: (status) => status.connected || left(status),
  });
  for (const channel of wanted) client.subscribe(channel);
  show($("ending"), "");
  enter("connecting");
  client.connect();
}

function left({ code, reason, willReconnect }) {
  const words = `${code} ${closing(code)}`;
  const bad = code !== 1000;
  if (joined.size) wanted = [...joined];
  joined.clear();
  log.add("note", "close", reason ? `${words} (${reason})` : words, bad);
  show($("ending"), words, bad);
  if (!willReconnect) client = null;
  enter(willReconnect ? "reconnecting" : bad ? "refused" : "idle", code);
}

function enter(name, code = null) {
  state = { name, code };
  const open = name === "connected" || name === "waiting";
  $("state").dataset.state = name;
  $("state").textContent = text(name, { code });
  $("connect").textContent = text(client ? "disconnect" : "connect");
  $("connect").classList.toggle("on", Boolean(client));
  $("send").disabled = !open;
  drawChannels();
}

function typeOf(body) {
  try {
    return String(JSON.parse(body).type);
  } catch {
    return "?";
  }
}

// What comes in

function receive(message) {
  if (message.event_id && seen.has(message.channel)) {
    seen.get(message.channel).seq = message.seq;
    last = { channel: message.channel, seq: message.seq };
  }
  HANDLERS[message.type]?.(message);
}

const HANDLERS = {
  connection({ status }) {
    enter(status === "connected" ? "connected" : "waiting");
  },
  subscribed({ channel, epoch, seq }) {
    joined.add(channel);
    seen.set(channel, { epoch, seq });
    drawChannels();
  },
  unsubscribed({ channel }) {
    joined.delete(channel);
    drawChannels();
  },
  "driver.location": map.show,
  "driver.status": map.mark,
  "delivery.update"(message) {
    if (message.late) return; // found in late data: nobody is told
    deliveries = [message, ...deliveries].slice(0, DELIVERIES);
    drawDeliveries();
  },
};

// Drawing

function show(element, words, bad = false) {
  element.textContent = words;
  element.classList.toggle("bad", bad);
}

function drawChannels() {
  $("no-channels").hidden = joined.size > 0;
  $("channels").replaceChildren(
    ...[...joined].map((channel) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.textContent = `${channel} ×`;
      button.ariaLabel = text("leave", { channel });
      button.addEventListener("click", () => client.unsubscribe(channel));
      item.append(button);
      return item;
    }),
  );
}

function drawDeliveries() {
  const clock = (time) => new Date(time).toLocaleTimeString(currentLanguage(), { hour: "2-digit", minute: "2-digit" });
  $("no-deliveries").hidden = deliveries.length > 0;
  $("deliveries").replaceChildren(
    ...deliveries.map((message) => {
      const item = document.createElement("li");
      const words = document.createElement("p");
      const details = document.createElement("small");
      words.textContent = message.message;
      details.textContent = `${clock(message.timestamp)} · ${message.order_id} · ${message.status}`;
      item.append(words, details);
      if (message.eta) {
        const eta = document.createElement("small");
        const [low, high] = [message.eta_low ?? message.eta, message.eta_high ?? message.eta];
        eta.textContent = text("eta", { eta: clock(message.eta), low: clock(low), high: clock(high) });
        item.append(eta);
      }
      return item;
    }),
  );
}

/** Who the token is for and how long, read without checking it: the server does that. */
function drawClaims() {
  const token = $("token").value.trim();
  if (!token) return show($("claims"), text("noToken"));
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const { sub, role, exp } = JSON.parse(new TextDecoder().decode(bytes));
    const until = new Date(exp * 1000);
    const expired = until < Date.now();
    show($("claims"), text(expired ? "expired" : "claims", { sub, role, exp: until.toLocaleString(currentLanguage()) }), expired);
  } catch {
    show($("claims"), text("badToken"), true);
  }
}

// The editor

function composeKind() {
  const kind = $("kind").value;
  const channel = [...joined].at(-1);
  const orderId = [...joined, ...wanted].find((name) => name.startsWith("order:"))?.slice("order:".length) ?? "ORDER123";
  composed = compose(kind, { channel, since: seen.get(channel), orderId, last, token: $("token").value.trim() });
  $("body").value = composed;
  show($("kind-hint"), kindHint(kind));
  checkBody();
}

function checkBody() {
  const bad = typeOf($("body").value) === "?";
  show($("body-hint"), bad ? text("notJSON") : "", bad);
}

function sendBody() {
  const body = $("body").value;
  socket.send(body);
  if (body === composed) composeKind(); // the next seq, the next position
}

// Wiring

function readFragment() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (!fragment.has("token")) return;
  history.replaceState(null, "", location.pathname + location.search);
  $("token").value = fragment.get("token");
  $("endpoint").value = fragment.get("endpoint") ?? "ws";
  wanted = (fragment.get("subscribe") ?? "").split(/,(?=[a-z])/).filter(Boolean); // area:… has commas of its own
  drawClaims();
  client?.disconnect();
  connect();
}

function translate(language) {
  setLanguage(language);
  $("language").textContent = language === "en" ? "中文" : "English";
  $("language").lang = language === "en" ? "zh-TW" : "en";
  enter(state.name, state.code);
  show($("kind-hint"), kindHint($("kind").value));
  drawClaims();
  drawDeliveries();
  checkBody();
  log.translate();
  map.redraw();
}

$("connect-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (client) client.disconnect();
  else connect();
});
$("send-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sendBody();
});
$("body").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !$("send").disabled) sendBody();
});
$("body").addEventListener("input", checkBody);
$("token").addEventListener("input", drawClaims);
$("kind").addEventListener("change", composeKind);
$("language").addEventListener("click", () => translate(currentLanguage() === "en" ? "zh-TW" : "en"));
window.addEventListener("hashchange", readFragment);

for (const kind of Object.keys(TEMPLATES)) $("kind").append(new Option(kind));
$("kind").value = "subscribe";
composeKind();
translate(currentLanguage());
readFragment();
