// The live map: drivers with heading and trail on a metric grid that fits itself; no tiles, nothing from elsewhere.

import { text } from "./texts.js";

const EARTH = 6378137; // metres
const TRAIL = 60; // positions of one driver
const TRAILS = 3000; // positions of all drivers
const LATE = 60; // seconds
const SILENT = 300; // seconds
const SMALLEST = 300; // metres that the map shows at least
const MARGIN = 48; // pixels
const ROWS = 200; // of the table
const radians = Math.PI / 180;
const still = matchMedia("(prefers-reduced-motion: reduce)");

const canvas = document.getElementById("map");
const pen = canvas.getContext("2d");
const drivers = new Map();
let view = null; // {x, y, scale}: Mercator at the centre, pixels per unit
let colours = {};
let labels = []; // boxes of the names drawn in this frame
let waiting = false;

/** Take in a driver.location. */
export function show(message) {
  const time = Date.parse(message.timestamp);
  const driver = drivers.get(message.driver_id) ?? { id: message.driver_id, trail: [], time: -Infinity };
  if (time < driver.time) return;
  const [x, y] = mercator(message.latitude, message.longitude);
  const age = message.age ?? (Date.now() - time) / 1000;
  Object.assign(driver, { message, time, x, y, status: null, fixedAt: performance.now() / 1000 - age });
  driver.at ??= { x, y };
  drivers.set(driver.id, driver);
  driver.trail = [...driver.trail, { x, y }].slice(-Math.max(1, Math.min(TRAIL, TRAILS / drivers.size)));
  redraw();
}

/** Take in a driver.status. */
export function mark(message) {
  const driver = drivers.get(message.driver_id);
  if (driver) driver.status = message.status;
  redraw();
}

export function clear() {
  drivers.clear();
  view = null;
  redraw();
}

const mercator = (latitude, longitude) => [
  longitude * radians,
  -Math.log(Math.tan(Math.PI / 4 + (latitude * radians) / 2)), // down, as on the screen
];
const latitudeAt = (y) => 2 * Math.atan(Math.exp(-y)) - Math.PI / 2;
const metresPerUnit = (y) => EARTH * Math.cos(latitudeAt(y));
const ageOf = (driver) => Math.max(0, performance.now() / 1000 - driver.fixedAt);

function statusOf(driver) {
  const age = ageOf(driver);
  return driver.status ?? (age > SILENT ? "silent" : age > LATE ? "late" : "live");
}

export function redraw() {
  if (!waiting) requestAnimationFrame(frame);
  waiting = true;
}

function frame() {
  waiting = false;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const density = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
  }
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (!drivers.size) return drawEmpty(width, height);
  const moving = glide(width, height);
  drawGrid(width, height);
  for (const driver of drivers.values()) drawTrail(driver, width, height);
  for (const driver of drivers.values()) drawMarker(driver, width, height);
  labels = [];
  for (const driver of drivers.values()) drawLabel(driver.id, ...place(driver.at, width, height));
  if (moving) redraw();
}

/** Move the view and the markers a little towards where they belong. Returns whether they are still on their way. */
function glide(width, height) {
  const target = fit(width, height);
  const share = still.matches || !view ? 1 : 0.18;
  view ??= { ...target };
  const towards = (from, to, tolerance) => (Math.abs(to - from) < tolerance ? to : from + (to - from) * share);
  let moving = false;
  const pull = (thing, to, tolerances) => {
    for (const [name, tolerance] of Object.entries(tolerances)) {
      thing[name] = towards(thing[name], to[name], tolerance);
      moving ||= thing[name] !== to[name];
    }
  };
  const pixel = 0.2 / target.scale;
  pull(view, target, { x: pixel, y: pixel, scale: target.scale * 0.002 });
  for (const driver of drivers.values()) pull(driver.at, driver, { x: pixel, y: pixel });
  return moving;
}

/** The view that holds every driver and trail. */
function fit(width, height) {
  const points = [...drivers.values()].flatMap((driver) => driver.trail);
  const bounds = (axis) => points.reduce(([low, high], point) => [Math.min(low, point[axis]), Math.max(high, point[axis])], [Infinity, -Infinity]);
  const [left, right] = bounds("x");
  const [top, bottom] = bounds("y");
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  const least = SMALLEST / metresPerUnit(y);
  const scale = Math.min(
    (width - 2 * MARGIN) / Math.max(right - left, least),
    (height - 2 * MARGIN) / Math.max(bottom - top, least),
  );
  return { x, y, scale };
}

const place = (point, width, height) => [
  (point.x - view.x) * view.scale + width / 2,
  (point.y - view.y) * view.scale + height / 2,
];

function drawEmpty(width, height) {
  pen.fillStyle = colours.soft;
  pen.font = "14px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.fillText(text("mapEmpty"), width / 2, height / 2, width - 24);
}

/** A grid whose lines lie a round number of metres apart, and a bar that says how many. */
function drawGrid(width, height) {
  const perPixel = metresPerUnit(view.y) / view.scale;
  const metres = roundDown(110 * perPixel);
  const step = metres / perPixel;
  const offset = (centre, size) => (((size / 2 - centre * view.scale) % step) + step) % step;
  pen.strokeStyle = colours.grid;
  pen.lineWidth = 1;
  pen.beginPath();
  for (let x = offset(view.x, width); x < width; x += step) line(x, 0, x, height);
  for (let y = offset(view.y, height); y < height; y += step) line(0, y, width, y);
  pen.stroke();

  pen.strokeStyle = pen.fillStyle = colours.soft;
  pen.lineWidth = 2;
  pen.beginPath();
  line(14, height - 14, 14 + step, height - 14);
  line(14, height - 18, 14, height - 10);
  line(14 + step, height - 18, 14 + step, height - 10);
  pen.stroke();
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "left";
  pen.fillText(metres < 1000 ? `${metres} m` : `${metres / 1000} km`, 18, height - 20);
}

function line(x0, y0, x1, y1) {
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
}

/** The largest of 1, 2, 5, 10, 20, … that is not above `metres`. */
function roundDown(metres) {
  const power = 10 ** Math.floor(Math.log10(metres));
  return power * [5, 2, 1].find((factor) => factor * power <= metres);
}

function drawTrail(driver, width, height) {
  pen.strokeStyle = colours[statusOf(driver)];
  pen.lineWidth = 3;
  const trail = [...driver.trail.slice(0, -1), driver.at].map((point) => place(point, width, height));
  for (let i = 1; i < trail.length; i += 1) {
    pen.globalAlpha = (0.55 * i) / trail.length;
    pen.beginPath();
    line(...trail[i - 1], ...trail[i]);
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

function drawMarker(driver, width, height) {
  const [x, y] = place(driver.at, width, height);
  const { heading } = driver.message;
  pen.save();
  pen.translate(x, y);
  pen.fillStyle = colours[statusOf(driver)];
  pen.strokeStyle = colours.card;
  pen.lineWidth = 2;
  pen.beginPath();
  if (heading == null) {
    pen.arc(0, 0, 7, 0, 2 * Math.PI);
  } else {
    pen.rotate(heading * radians);
    pen.moveTo(0, -12);
    pen.lineTo(8, 9);
    pen.lineTo(0, 5);
    pen.lineTo(-8, 9);
    pen.closePath();
  }
  pen.stroke();
  pen.fill();
  pen.restore();
}

/** A driver's name below the marker, unless it would cover another name. */
function drawLabel(name, x, y) {
  pen.font = "600 12px system-ui, sans-serif";
  const half = pen.measureText(name).width / 2;
  if (labels.some((other) => Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < 14)) return;
  labels.push({ x, y, half });
  pen.textAlign = "center";
  pen.lineWidth = 4;
  pen.strokeStyle = colours.map;
  pen.fillStyle = colours.text;
  pen.strokeText(name, x, y + 24);
  pen.fillText(name, x, y + 24);
}

/** What the canvas shows, in words and rows. */
function describe() {
  const all = [...drivers.values()];
  const silent = all.filter((driver) => statusOf(driver) === "silent").length;
  const summary = all.length ? text("mapSummary", { n: all.length, silent }) : "";
  document.getElementById("map-summary").textContent = summary;
  canvas.ariaLabel = summary || text("mapEmpty");
  document.getElementById("drivers").replaceChildren(...all.slice(0, ROWS).map(describeDriver));
}

function describeDriver(driver) {
  const { latitude, longitude, speed, heading } = driver.message;
  const age = ageOf(driver);
  const row = document.createElement("tr");
  row.dataset.driver = driver.id;
  row.append(
    ...[
      driver.id,
      text(statusOf(driver)),
      speed == null ? "–" : Math.round(speed * 3.6),
      heading == null ? "–" : `${Math.round(heading)}°`,
      age < 120 ? text("seconds", { n: Math.round(age) }) : text("minutes", { n: Math.round(age / 60) }),
      `${latitude.toFixed(5)}, ${longitude.toFixed(5)}`,
    ].map((value) => {
      const cell = document.createElement("td");
      cell.textContent = value;
      return cell;
    }),
  );
  return row;
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = { live: "accent", late: "late", silent: "silent", grid: "grid", soft: "soft", text: "text", card: "card", map: "map" };
  colours = Object.fromEntries(Object.entries(names).map(([name, variable]) => [name, style.getPropertyValue(`--${variable}`)]));
  redraw();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);
new ResizeObserver(redraw).observe(canvas);
setInterval(() => {
  describe();
  redraw(); // markers turn grey with age
}, 500);
readColours();
