// Recurrent layers, drawn unrolled: one place a time step, the inputs in the lowest row and above it a
// row of states for each layer; arrows of the same weights lead up and along. On the way back the
// arrows are as thick as the gradient that passes.

const lastSequenceLayer = Math.max(0, ...data.sequences.map((s) => s.layer));
const sequenceOf = (state) => data.sequences.find((s) => s.states.includes(state));

function timeColumn(name, row, t, below) {
  const v = values.get(name);
  return { name, v, count: width(v), block: true, below, row, t, time: true };
}

// The columns of all time steps, and the arrows between them.
function timeColumns() {
  if (!data.sequences.length) return { columns: [], gaps: [], last: [] };
  const rows = [data.sequences[0].inputs, ...data.sequences.map((s) => s.states)].filter((r) => r.length);
  const steps = rows[rows.length - 1].length;
  const columns = [];
  for (let t = 0; t < steps; ++t) rows.forEach((names, row) => columns.push(timeColumn(names[t], row, t, row === 0 && rows.length > 1 ? `step ${t}` : '')));
  const find = (name) => columns.find((c) => c.name === name);
  const gaps = [];
  for (const s of data.sequences) {
    const products = weightsOf(s);
    s.states.forEach((state, t) => {
      const before = s.states[s.reverse ? t + 1 : t - 1];
      if (before) gaps.push({ from: find(before), to: find(state), kind: 'weights', w: products.recurrent, along: true });
      const input = find(s.inputs[t] ?? '') ?? below(columns, find(state));
      if (input) gaps.push({ from: input, to: find(state), kind: 'weights', w: products.input, up: true });
    });
  }
  return { columns, gaps, last: lastStates() };
}

const below = (columns, column) => columns.find((c) => c.t === column.t && c.row === column.row - 1);

// The two weight matrices of a sequence: of its input, and of the state before.
function weightsOf(s) {
  const layer = data.layers.find((l) => l.number === s.layer);
  const suffix = s.states[0].slice(1, s.states[0].lastIndexOf('_'));
  const own = layer.parameters.filter((p) => p.slice(1) === suffix);
  return { input: own.find((p) => p[0] === 'W'), recurrent: own.find((p) => p[0] === 'U') };
}

// The states that the next layer reads: the last one, or all of them.
function lastStates() {
  const s = data.sequences[data.sequences.length - 1];
  const layer = data.layers.find((l) => l.number === s.layer);
  const all = values.get(layer.output).shape.length > 2;
  return all ? s.states : [s.reverse ? s.states[0] : s.states[s.states.length - 1]];
}

// Places the time steps from `left` on; gives back where they end.
function placeTime(columns, left, height, room) {
  const rows = Math.max(...columns.map((c) => c.row)) + 1;
  const steps = Math.max(...columns.map((c) => c.t)) + 1;
  const pitch = Math.max(38, Math.min(92, room / steps));
  const band = (height - 60) / rows;
  for (const column of columns) {
    if (column.below && pitch < 46) column.below = String(column.t);
    const across = Math.ceil(column.count / 16);
    const down = Math.ceil(column.count / across);
    const cell = Math.max(3, Math.min(14, (band - 46) / down, (pitch - 22) / across));
    const middle = 30 + (rows - 1 - column.row + 0.5) * band;
    const x = left + (column.t + 0.5) * pitch;
    const [w, h] = [cell * across, cell * down];
    Object.assign(column, { x, middle, across, rows: down, cell, w, h, left: x - w / 2, top: middle - h / 2, radius: 0, low: 0, pitch: cell, tight: pitch < 50 });
    column.head = column.top - 9;
    column.y = (j) => column.top + (Math.floor(j / across) + 0.5) * cell;
  }
  return left + steps * pitch;
}

// An arrow up from an input, or along from the state before.
function timeEnds(gap) {
  const { from, to } = gap;
  if (gap.up) return { x1: from.x, y1: from.top - 24, x2: to.x, y2: to.top + to.h + 3 };
  const side = from.x < to.x ? 1 : -1;
  return { x1: from.x + side * (from.w / 2 + 2), y1: from.middle, x2: to.x - side * (to.w / 2 + 2), y2: to.middle };
}

function norm(v, row = state.row) {
  const n = width(v);
  let sum = 0;
  for (let j = 0; j < n; ++j) sum += unitNumber(v, j, row) ** 2;
  return Math.sqrt(sum);
}

// How much gradient passes an arrow, from 0 to 1; null before it has.
function passing(gap) {
  const d = gradientOf(gap.along ? gap.from.name : gap.to.name);
  const s = sequenceOf(gap.to.name);
  if (!d || !s || state.stage <= lossStage || isUpdate() || !isKnown(d.name)) return null;
  const most = Math.max(...s.states.map((h) => (gradientOf(h) ? norm(gradientOf(h)) : 0)));
  return most > 0 ? norm(d) / most : 0;
}

// ── the norms of the products of Jacobians ───────────────────────────────────

function normsFigure(s) {
  const norms = s.norms.map((n) => n[state.row]);
  const largest = Math.max(...norms);
  const last = s.states[s.reverse ? 0 : s.states.length - 1];
  const rows = norms.map((x, t) => element('tr', { class: isKnown('d' + s.states[t]) ? null : 'rest' },
    element('th', { scope: 'row' }, nameLine(s.states[t])),
    element('td', { class: 'share' }, element('span', { class: 'bars whole' },
      element('span', { class: 'bar gradient plus', style: `left:0;width:${largest > 0 ? x / largest * 100 : 0}%` }))),
    element('td', { class: 'product' }, number(x))));
  return element('figure', { class: 'matrix' },
    element('figcaption', {}, 'Through time', element('span', { class: 'shape' }, `example ${state.row}`)),
    element('p', { class: 'hint' }, 'Norm of the product of Jacobians from each state to ', nameLine(last),
      ': by what factor a small change there can grow on its way.'),
    element('table', { class: 'terms' }, element('tbody', {}, rows)));
}
