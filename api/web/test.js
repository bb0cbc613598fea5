// The test page: one connection, and what is sent and received on it.

import * as log from "./log.js";
import * as map from "./map.js";
import { compose, TEMPLATES } from "./messages.js";
import { closing, currentLanguage, kindHint, setLanguage, text } from "./texts.js";

const DELIVERIES = 50; // shown
const $ = (id) => document.getElementById(id);

let socket = null;
let state = { name: "idle" };
let wanted = []; // channels to join once connected
let composed = ""; // the text put into the editor, to see whether it was edited
const joined = new Set(); // channels
const seen = new Map(); // channel -> {epoch, seq} of the newest message, also of a connection before
const told = new Set(); // event_ids of delivery updates
let deliveries = []; // newest first
let last = null; // {channel, seq} of the newest reliable message

// The connection

function connect() {
  const token = $("token").value.trim();
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const protocols = token ? ["tracker.v1", `bearer.${token}`] : ["tracker.v1"]; // not in the URL, where logs would see it
  try {
    socket = new WebSocket(`${scheme}//${location.host}/api/v1/websocket/${$("endpoint").value}`, protocols);
  } catch {
    return show($("ending"), text("badToken"), true);
  }
  const mine = socket;
  const current = (handle) => (event) => mine === socket && handle(event);
  socket.onmessage = current((event) => receive(event.data));
  socket.onclose = current(closed);
  show($("ending"), "");
  enter("connecting");
}

function disconnect() {
  socket.close(1000);
}

function closed({ code, reason }) {
  socket = null;
  if (joined.size) wanted = [...joined];
  joined.clear();
  const words = `${code} ${closing(code)}`;
  log.add("note", "close", reason ? `${words} (${reason})` : words, code >= 1002);
  show($("ending"), words, code >= 1002);
  enter(code === 1000 ? "idle" : "refused", code);
}

function enter(name, code = null) {
  state = { name, code };
  const open = name === "connected" || name === "waiting";
  $("state").dataset.state = name;
  $("state").textContent = text(name, { code });
  $("connect").textContent = text(socket ? "disconnect" : "connect");
  $("connect").classList.toggle("on", Boolean(socket));
  $("send").disabled = !open;
  drawChannels();
}

function send(body) {
  const token = $("token").value.trim();
  socket.send(body);
  log.add("out", typeOf(body), token ? body.replaceAll(token, "…") : body);
}

function typeOf(body) {
  try {
    return String(JSON.parse(body).type);
  } catch {
    return "?";
  }
}

// What comes in

function receive(data) {
  const message = JSON.parse(data);
  log.add("in", message.type, message, message.type === "error");
  if (message.event_id && seen.has(message.channel)) {
    seen.get(message.channel).seq = message.seq;
    last = { channel: message.channel, seq: message.seq };
  }
  HANDLERS[message.type]?.(message);
}

const HANDLERS = {
  connection({ status }) {
    enter(status === "connected" ? "connected" : "waiting");
    if (status !== "connected") return;
    for (const channel of wanted) send(JSON.stringify({ type: "subscribe", channel, since: seen.get(channel) }));
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
    if (told.has(message.event_id)) return; // sent once more, as after a reconnect
    if (message.event_id) told.add(message.event_id);
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
      button.addEventListener("click", () => send(JSON.stringify({ type: "unsubscribe", channel })));
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
  send(body);
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
  socket?.close(1000);
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
  if (socket) disconnect();
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
