// The trace as the page was given it, and the state of the page: which stage, which example, what is
// selected. Everything that is drawn is a function of these.

const data = JSON.parse(document.getElementById('data').textContent);

function decoded(value) {
  const bytes = Uint8Array.from(atob(value.data), (c) => c.charCodeAt(0));
  const numbers = new Float32Array(bytes.buffer);
  return { ...value, numbers, largest: largestSize(numbers) };
}

function largestSize(numbers) {
  let largest = 0;
  for (const x of numbers) if (Number.isFinite(x)) largest = Math.max(largest, Math.abs(x));
  return largest;
}

const values = new Map(data.values.map((v) => [v.name, decoded(v)]));
const stages = data.stages;

const gradientOf = (name) => values.get('d' + name);
const nextOf = (name) => values.get(name + "'");

// Weights and their gradients are the same for the whole batch; the rest has a row for each example.
function isOfParameter(v) {
  return v.part === 'parameter' || values.get(v.of)?.part === 'parameter' || v.part === 'update';
}
function isBatched(v) {
  return !isOfParameter(v) && v.shape.length > 0 && v.shape[0] === data.rows;
}
// How many numbers one example has.
function width(v) {
  return isBatched(v) ? v.numbers.length / data.rows : v.numbers.length;
}
// As a matrix: [rows, columns].
function matrixShape(v) {
  const columns = v.shape.length === 0 ? 1 : v.shape[v.shape.length - 1];
  if (isBatched(v) && v.shape.length > 2) return [data.rows, width(v)];
  if (isBatched(v) && v.shape.length === 1) return [data.rows, 1];
  return [v.numbers.length / columns, columns];
}
// The number of unit `index` for the example that is shown.
function unitNumber(v, index, row = state.row) {
  return v.numbers[isBatched(v) ? row * width(v) + index : index];
}

// At which stage a value is computed, and a gradient.
const stageOf = new Map();
stages.forEach((stage, i) => {
  for (const name of stage.lines) if (!stageOf.has(name)) stageOf.set(name, i);
});
const isKnown = (name) => !stageOf.has(name) || stageOf.get(name) <= state.stage;
const lossStage = stages.findIndex((s) => s.kind === 'loss');
const isBackward = () => state.stage > lossStage && state.stage < stages.length - 1;
const isUpdate = () => state.stage === stages.length - 1;

// ── what a column's or a row's number is called ──────────────────────────────

// The name of a feature or a class; '' for a unit that has none.
function unitLabel(name, index) {
  const v = values.get(name);
  if (v.shape.length === 2) {
    if (name === 'X' && data.features.length === width(v)) return data.features[index];
    if (data.classes.length && data.classes.length === width(v) && isOutput(name)) return data.classes[index];
  }
  return '';
}
const lastLayer = data.layers[data.layers.length - 1];
const isOutput = (name) => name === data.output || name === lastLayer.output || name === 'Y';

function target(row = state.row) {
  return data.classes.length ? values.get('target').numbers[row] : null;
}

// ── state ────────────────────────────────────────────────────────────────────

// selection: {value, index}, where index counts the numbers of one example, or of the whole parameter;
// without an index it is the whole value.
const state = { stage: 0, row: 0, selection: null, hover: null };
const listeners = [];
const shown = () => state.hover ?? state.selection;

function change(what) {
  Object.assign(state, what);
  state.stage = Math.max(0, Math.min(stages.length - 1, state.stage));
  state.row = Math.max(0, Math.min(data.rows - 1, state.row));
  for (const listener of listeners) listener(what);
}

function same(a, b) {
  return a === b || (a && b && a.value === b.value && a.index === b.index && a.to === b.to);
}

// "W1[0,2]" and "Z1[2]" (of the example that is shown), and back.
function selectionText({ value, index, to }) {
  if (to !== undefined) return `${value}[:,${to}]`;
  if (index === undefined) return value;
  const v = values.get(value);
  if (isBatched(v) || v.shape.length < 2) return `${value}[${index}]`;
  const columns = matrixShape(v)[1];
  return `${value}[${Math.floor(index / columns)},${index % columns}]`;
}

function parsedSelection(text) {
  const whole = /^([^[]+)\[:,(\d+)\]$/.exec(text ?? '');
  if (whole && values.has(whole[1])) return { value: whole[1], to: Number(whole[2]) };
  const match = /^([^[]+)(?:\[(\d+)(?:,(\d+))?\])?$/.exec(text ?? '');
  const v = match && values.get(match[1]);
  if (!v) return null;
  if (match[2] === undefined) return { value: v.name };
  const first = Number(match[2]);
  const index = match[3] === undefined ? first : first * matrixShape(v)[1] + Number(match[3]);
  return index < width(v) ? { value: v.name, index } : null;
}

function readAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  change({
    stage: Number(address.get('stage') ?? 0) || 0,
    row: Number(address.get('row') ?? 0) || 0,
    selection: parsedSelection(address.get('select')),
    hover: null,
  });
}

// Browsers bear some two hundred changes of the address in ten seconds.
let addressTimer = null;
function noteAddress() {
  addressTimer ??= setTimeout(() => {
    addressTimer = null;
    writeAddress();
  }, 60);
}

function writeAddress() {
  const parts = [`stage=${state.stage}`];
  if (state.row) parts.push(`row=${state.row}`);
  if (state.selection) parts.push(`select=${selectionText(state.selection)}`);
  history.replaceState(null, '', '#' + parts.join('&'));
}

// ── small helpers ────────────────────────────────────────────────────────────

// An element with attributes and children; `on…` attributes are listeners.
function element(tag, attributes = {}, ...children) {
  const svg = ['svg', 'g', 'line', 'circle', 'rect', 'text', 'tspan', 'image', 'path', 'title', 'marker'].includes(tag);
  const made = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag)
                   : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return made;
}

// Short enough to stand in a circle.
function short(x) {
  const size = Math.abs(x);
  if (!Number.isFinite(x) || x === 0) return number(x);
  if (size < 0.005) return `${x < 0 ? '−' : ''}1e−${Math.round(-Math.log10(size))}`;
  return (size < 10 ? x.toFixed(2) : size < 100 ? x.toFixed(1) : number(x, 2)).replace('-', '−');
}

// Three significant digits, and a true minus.
function number(x, digits = 3) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? 'NaN' : x > 0 ? '∞' : '−∞';
  if (x === 0) return '0';
  if (Number.isInteger(x) && Math.abs(x) < 1e5) return String(x).replace('-', '−');
  const size = Math.abs(x);
  if (size >= 1e5 || size < 1e-3) {
    const [mantissa, exponent] = x.toExponential(Math.max(0, digits - 2)).split('e');
    return `${mantissa}e${Number(exponent)}`.replaceAll('-', '−');
  }
  return x.toPrecision(digits).replace('-', '−');
}
