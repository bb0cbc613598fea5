// The log: every message sent and received, with counts, a filter by type, and a pause.

import { text } from "./texts.js";

const KEPT = 200; // rows; older ones go
const EVERY = 100; // milliseconds between two drawings
const $ = (id) => document.getElementById(id);

const counts = new Map(); // type -> messages so far
const hidden = new Set(); // types not shown
let entries = []; // newest last
let fresh = []; // not drawn yet
let unseen = 0; // not drawn yet, with those that `fresh` has no room for
let paused = false;
let waiting = false;

/** Add a message; `direction` is in, out or note. */
export function add(direction, type, body, bad = false) {
  counts.set(type, (counts.get(type) ?? 0) + 1);
  fresh.push({ direction, type, body, bad, at: new Date() });
  if (fresh.length > KEPT) fresh = fresh.slice(-KEPT);
  unseen += 1;
  if (!waiting) setTimeout(draw, EVERY);
  waiting = true;
}

function draw() {
  waiting = false;
  drawTypes();
  $("pause").textContent = paused ? text("resume", { n: unseen }) : text("pause");
  if (paused) return;
  entries = [...entries, ...fresh].slice(-KEPT);
  $("entries").prepend(...rows(fresh));
  fresh = [];
  unseen = 0;
  while ($("entries").children.length > KEPT) $("entries").lastChild.remove();
  $("no-entries").hidden = entries.length > 0;
}

const rows = (some) => some.filter((entry) => !hidden.has(entry.type)).map(row).reverse();

function row({ direction, type, body, bad, at }) {
  const item = document.createElement("li");
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  item.className = bad ? `${direction} bad` : direction;
  item.dataset.type = type;
  summary.append(
    make("time", at.toTimeString().slice(0, 8) + "." + String(at.getMilliseconds()).padStart(3, "0")),
    make("i", { in: "↓", out: "↑", note: "·" }[direction]),
    make("b", type),
    make("code", typeof body === "string" ? body : JSON.stringify(body)),
  );
  details.append(summary);
  details.addEventListener("toggle", () => details.append(make("pre", pretty(body))), { once: true });
  item.append(details);
  return item;
}

const pretty = (body) => (typeof body === "string" ? body : JSON.stringify(body, null, 2));

function make(tag, content) {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}

function drawTypes() {
  for (const [type, count] of counts) {
    const chip = $("types").querySelector(`[data-type="${CSS.escape(type)}"]`) ?? addType(type);
    chip.ariaPressed = String(!hidden.has(type));
    chip.lastChild.textContent = count;
  }
}

function addType(type) {
  const chip = make("button", type);
  chip.type = "button";
  chip.dataset.type = type;
  chip.append(make("b", ""));
  chip.addEventListener("click", () => toggle(type));
  $("types").append(chip);
  return chip;
}

function toggle(type) {
  if (!hidden.delete(type)) hidden.add(type);
  $("entries").replaceChildren(...rows(entries));
  drawTypes();
}

function clear() {
  entries = [];
  fresh = [];
  unseen = 0;
  counts.clear();
  $("entries").replaceChildren();
  $("types").replaceChildren();
  draw();
}

function pause() {
  paused = !paused;
  $("pause").ariaPressed = String(paused);
  draw();
}

$("pause").addEventListener("click", pause);
$("clear").addEventListener("click", clear);

export { draw as translate };
