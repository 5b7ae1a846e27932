// The network: a column for each value, units as circles, weights as lines; a value of many numbers is
// one block with a heat map. Built once for a size, and coloured anew for each state.

const MOST_UNITS = 16;
const drawing = document.getElementById('drawing');
let parts = { columns: [], gaps: [] };

// ── what is drawn ────────────────────────────────────────────────────────────

function columnsOfTrace() {
  const names = data.sequences.length ? [] : ['X'];
  for (const layer of data.layers) {
    if (!names.includes(layer.output) && layer.number > lastSequenceLayer) names.push(layer.output);
  }
  if (!names.includes(data.output)) names.push(data.output);
  const columns = names.map((name) => {
    const v = values.get(name);
    const layer = data.layers.find((l) => l.output === name);
    const below = layer ? layer.text : name === 'X' ? 'input' : 'softmax';
    return { name, v, count: width(v), block: width(v) > MOST_UNITS || v.shape.length > 2, below };
  });
  columns.push({ name: 'loss', v: values.get('loss'), count: 1, block: false, below: data.rows > 1 ? 'mean' : '' });
  return columns;
}

// How the numbers of a column come from those of the column before it.
function gapsOf(columns, time) {
  const pairs = columns.slice(1).map((to, i) => [columns[i], to]);
  for (const name of time.last) pairs.unshift([time.columns.find((c) => c.name === name), columns[0]]);
  return pairs.map(([from, to]) => {
    const recipe = to.v.recipe;
    const made = layerProduct(to.v);
    if (made && (made.x === from.name || values.get(from.name).formula === made.x)) return { from, to, kind: 'weights', w: made.w };
    if (from.count === to.count && recipe?.op !== 'softmax' && to.name !== 'loss') return { from, to, kind: 'same' };
    return { from, to, kind: 'all' };
  });
}

// ── the layout ───────────────────────────────────────────────────────────────

function layOut(time, columns, gaps, box) {
  const label = columns.some((c) => c.name === data.output && !c.block) ? textRoom(data.classes) : 0;
  const narrow = box.width < 560;
  const begin = time.length ? 10 : 0;
  const left = time.length ? 0 : columns[0].block ? 44 : labelled(columns[0]) && !narrow ? 22 + textRoom(data.features) : 26;
  const weight = gaps.map((g) => (g.to.name === 'loss' ? 1 : g.kind === 'weights' ? 1.7 : 0.85));
  const total = weight.reduce((a, b) => a + b, 0);
  const steps = time.length ? Math.max(...time.map((c) => c.t)) + 1 : 0;
  const all = box.width - left - 34 - label;
  const room = Math.max(steps ? all * Math.max(0.4, total / (total + steps)) : all, total * 36);
  const most = Math.max(...columns.filter((c) => !c.block).map((c) => c.count));
  const height = box.height;
  const pitch = Math.min(72, (height - 84) / most);
  const closest = Math.min(...weight) * room / total;
  const middle = 58 + (height - 66) / 2;
  const blocks = columns.filter((c) => c.block).map((c) => blockSize(c, height).h);
  const top = Math.max(50, middle - Math.max(most * pitch, ...blocks) / 2);
  let x = time.length ? placeTime(time, begin, box.height, all - room) - 20 : left;
  columns.forEach((column, i) => {
    const gap = time.length ? i : i - 1;
    if (gap >= 0) x += room * weight[gap] / total + (column.name === 'loss' ? label : 0);
    const radius = Math.max(5, Math.min(24, pitch * 0.38, closest * 0.42));
    Object.assign(column, { x, middle, pitch, radius, head: top - 34, low: 0, narrow });
    if (column.block) placeBlock(column, height);
    else column.y = (j) => middle + (j - (column.count - 1) / 2) * pitch;
  });
  // What a layer is called goes a line lower where it would touch its neighbour's.
  columns.forEach((column, i) => {
    const before = columns[i - 1];
    const touches = before && column.x - before.x < 3.1 * (column.below.length + before.below.length) + 8;
    if (touches && before.low === 0) column.low = 13;
  });
  return { width: Math.ceil(x + 34), height };
}

const textRoom = (texts) => 12 + Math.min(84, 6.8 * Math.max(0, ...texts.map((t) => t.length)));

const labelled = (c) => c.name === 'X' && data.features.length === c.count && c.count <= MOST_UNITS;

function blockSize(column, height) {
  const [rows, across] = blockShape(column.v);
  const cell = Math.min(11, 76 / across, (height - 110) / rows);
  return { rows, across, cell, w: cell * across, h: cell * rows };
}

function placeBlock(column, height) {
  const size = blockSize(column, height);
  const { across, cell } = size;
  Object.assign(column, size, { left: column.x - size.w / 2, top: column.middle - size.h / 2 });
  column.y = (j) => column.top + (Math.floor(j / across) + 0.5) * cell;
}

// ── building ─────────────────────────────────────────────────────────────────

function build() {
  const time = timeColumns();
  const rest = columnsOfTrace();
  const gaps = [...time.gaps, ...gapsOf(rest, time)];
  const columns = [...time.columns, ...rest];
  const box = { width: drawing.clientWidth, height: drawing.clientHeight };
  const size = layOut(time.columns, rest, gapsOf(rest, time).slice(-rest.length), box);
  const svg = element('svg', { width: size.width, height: size.height, viewBox: `0 0 ${size.width} ${size.height}`,
    role: 'group', 'aria-label': 'The network. Arrow keys go from unit to unit.' });
  svg.append(element('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto',
    markerUnits: 'userSpaceOnUse' }, element('path', { d: 'M0 0.5 L8 4 L0 7.5 Z', fill: 'context-stroke' })));
  gaps.forEach((gap) => svg.append(buildGap(gap)));
  columns.forEach((column, i) => svg.append(buildColumn(column, i)));
  drawing.replaceChildren(svg);
  svg.addEventListener('pointermove', hoverNearest);
  svg.addEventListener('pointerleave', () => state.hover && change({ hover: null }));
  svg.addEventListener('click', chooseNearest);
  parts = { columns, gaps, svg, focus: parts.focus ?? { column: 0, index: 0 } };
  paint();
}

function buildGap(gap) {
  const group = element('g', { class: `gap ${gap.kind}` });
  gap.lines = [];
  if (gap.up || gap.along) {
    const ends = timeEnds(gap);
    const made = element('line', { ...ends, 'marker-end': 'url(#arrow)' });
    gap.lines.push({ made, ...ends });
    group.append(made);
    return group;
  }
  const line = (i, j, index) => {
    const beyond = gap.to.name === 'loss' && data.classes.length && !gap.from.block ? textRoom(data.classes) - 8 : 0;
    const from = gap.from.block ? gap.from.x + gap.from.w / 2 : gap.from.x + gap.from.radius + beyond;
    const to = gap.to.block ? gap.to.x - gap.to.w / 2 : gap.to.x - (gap.to.name === 'loss' ? 24 : gap.to.radius);
    const ends = { x1: from, y1: gap.from.block ? gap.from.middle : gap.from.y(i), x2: to,
      y2: gap.to.block ? gap.to.middle : gap.to.y(j) };
    const made = element('line', ends);
    gap.lines.push({ made, i, j, index, ...ends });
    group.append(made);
  };
  const [m, n] = [gap.from.block ? 1 : gap.from.count, gap.to.block ? 1 : gap.to.count];
  if (gap.kind === 'same' && m === n) {
    for (let i = 0; i < n; ++i) line(i, i);
  } else {
    const whole = !gap.from.block && !gap.to.block && gap.kind === 'weights';
    for (let i = 0; i < m; ++i) for (let j = 0; j < n; ++j) line(i, j, whole ? i * n + j : undefined);
  }
  return group;
}

function heading(column) {
  const [, base, number, rest] = /^([A-Za-z]+)(\d*)((?:_\w+)?)$/.exec(column.name) ?? [, column.name, '', ''];
  const index = [number, ...rest.split('_')].filter((part) => part !== '').join(',');
  column.d = element('tspan', { class: 'd' });
  return [
    element('text', { class: column.tight ? 'heading tight' : 'heading', x: column.x, y: column.head }, column.d, base,
      index ? element('tspan', { class: 'index', dy: 4 }, index) : null),
    element('text', { class: 'below', x: column.x, y: column.time ? column.top + column.h + 18 : column.head + 17 + column.low }, column.below),
  ];
}

function buildColumn(column, place) {
  const group = element('g', { class: 'column' }, heading(column));
  column.group = group;
  column.units = [];
  if (column.block) {
    buildBlock(column, place, group);
    return group;
  }
  for (let j = 0; j < column.count; ++j) group.append(buildUnit(column, place, j));
  return group;
}

function buildUnit(column, place, j) {
  const loss = column.name === 'loss';
  const y = column.y(j);
  const shape = loss ? element('rect', { class: 'unit', x: column.x - 24, y: y - 15, width: 48, height: 30, rx: 8 })
                     : element('circle', { class: 'unit', cx: column.x, cy: y, r: column.radius });
  const text = loss || column.radius >= 16
    ? element('text', { class: 'number', x: column.x, y: y + 4 }) : null;
  const labels = [];
  if (labelled(column) && !column.narrow) labels.push(sideLabel(column, j, -1, data.features[j]));
  if (isOutput(column.name) && column.name === data.output && data.classes.length && column.count <= MOST_UNITS) {
    labels.push(sideLabel(column, j, 1, data.classes[j]));
  }
  const group = element('g', { class: 'node', tabindex: -1, role: 'button',
    onfocus: () => focused(place, j), onblur: () => state.hover && change({ hover: null }) }, shape, text, labels);
  column.units.push({ group, shape, text, label: labels[0] });
  return group;
}

function sideLabel(column, j, side, text) {
  const short = text.length > 13 ? text.slice(0, 12) + '…' : text;
  return element('text', { class: side < 0 ? 'side before' : 'side', x: column.x + side * (column.radius + 6),
    y: column.y(j) + 4 }, short, element('title', {}, text));
}

function buildBlock(column, place, group) {
  column.image = element('image', { x: column.left, y: column.top, width: column.w, height: column.h,
    preserveAspectRatio: 'none' });
  column.frame = element('rect', { class: 'frame', x: column.left - 1, y: column.top - 1, width: column.w + 2,
    height: column.h + 2, rx: 2 });
  column.mark = element('rect', { class: 'mark', width: column.cell, height: column.cell, visibility: 'hidden' });
  const node = element('g', { class: 'node', tabindex: -1, role: 'button',
    onfocus: () => focused(place, parts.focus.column === place ? parts.focus.index : 0),
    onblur: () => state.hover && change({ hover: null }) }, column.image, column.frame, column.mark);
  column.units.push({ group: node });
  group.append(node);
  if (!column.time) group.append(element('text', { class: 'below', x: column.x, y: column.top + column.h + 18 }, `${column.count} numbers`));
}

// ── pointing ─────────────────────────────────────────────────────────────────

function pointerPlace(event) {
  const box = parts.svg.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

// What lies under the pointer: a unit, a number of a block, or the line that is nearest.
function under(event) {
  const [x, y] = pointerPlace(event);
  for (const column of parts.columns) {
    if (column.block) {
      const c = Math.floor((x - column.left) / column.cell);
      const r = Math.floor((y - column.top) / column.cell);
      const index = r * column.across + c;
      if (c >= 0 && c < column.across && r >= 0 && index < column.count) return { value: column.name, index };
    } else if (Math.abs(x - column.x) <= Math.max(12, column.radius) + (column.name === 'loss' ? 14 : 0)) {
      for (let j = 0; j < column.count; ++j) {
        if (Math.abs(y - column.y(j)) <= Math.max(column.pitch / 2 - 1, 8)) return { value: column.name, index: j };
      }
    }
  }
  return nearestLine(x, y);
}

function distanceTo(line, x, y) {
  const [dx, dy] = [line.x2 - line.x1, line.y2 - line.y1];
  const t = Math.max(0, Math.min(1, ((x - line.x1) * dx + (y - line.y1) * dy) / (dx * dx + dy * dy)));
  return Math.hypot(x - line.x1 - t * dx, y - line.y1 - t * dy);
}

function nearestLine(x, y) {
  let [best, of, distance] = [null, null, 7];
  for (const gap of parts.gaps) {
    if (gap.kind !== 'weights') continue;
    for (const line of gap.lines) {
      const d = distanceTo(line, x, y);
      if (d < distance) [best, of, distance] = [line, gap, d];
    }
  }
  if (!best) return null;
  return best.index === undefined ? { value: of.w, to: of.to.block ? undefined : best.j } : { value: of.w, index: best.index };
}

function hoverNearest(event) {
  if (event.pointerType === 'touch') return;
  const found = under(event);
  drawing.style.cursor = found ? 'pointer' : '';
  if (!same(found, state.hover)) change({ hover: found });
}

function chooseNearest(event) {
  change({ selection: under(event), hover: null });
}

// ── the keyboard ─────────────────────────────────────────────────────────────

function focused(column, index) {
  parts.focus = { column, index };
  change({ selection: { value: parts.columns[column].name, index }, hover: null });
}

// Moves the focus by units or columns; true when it went somewhere.
function moveFocus(across, down) {
  const { column, index } = parts.focus;
  const next = parts.columns[column + across];
  if (across !== 0 && !next) return;
  const to = across === 0 ? parts.columns[column] : next;
  const ratio = to.count / parts.columns[column].count;
  const wanted = across === 0 ? index + down : Math.floor((index + 0.5) * ratio);
  parts.focus = { column: column + across, index: Math.max(0, Math.min(to.count - 1, wanted)) };
  focused(parts.focus.column, parts.focus.index);
  to.units[to.block ? 0 : parts.focus.index].group.focus({ preventScroll: false });
}

// The next weight into the unit that is selected.
function nextWeight(step) {
  const s = state.selection;
  if (!s || s.index === undefined) return;
  const gap = parts.gaps.find((g) => g.kind === 'weights' && (g.to.name === s.value || g.w === s.value));
  if (!gap) return;
  const [m, n] = matrixShape(values.get(gap.w));
  const unit = s.value === gap.w ? s.index % n : s.index;
  const from = s.value === gap.w ? Math.floor(s.index / n) + step : step > 0 ? 0 : m - 1;
  change({ selection: { value: gap.w, index: ((from + m) % m) * n + unit }, hover: null });
}
