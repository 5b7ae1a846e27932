// Numbers as colours, and matrices as tables or heat maps. Values go from orange by way of paper to
// blue, gradients from magenta to green, so that the two are never taken for each other.

const PALETTES = {
  light: { middle: [238, 235, 226], value: [[196, 80, 14], [24, 92, 176]], gradient: [[158, 38, 128], [8, 118, 88]] },
  dark: { middle: [46, 49, 57], value: [[255, 157, 92], [120, 180, 255]], gradient: [[236, 134, 212], [76, 208, 166]] },
};

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

const kindOf = (v) => (v.part === 'backward' ? 'gradient' : 'value');

// The colour of x where `largest` is the largest size.
function rgb(x, largest, kind) {
  const palette = PALETTES[isDark() ? 'dark' : 'light'];
  if (!Number.isFinite(x)) return [128, 128, 128];
  const t = largest > 0 ? Math.pow(Math.min(1, Math.abs(x) / largest), 0.75) : 0;
  const end = palette[kind][x < 0 ? 0 : 1];
  return palette.middle.map((m, i) => Math.round(m + (end[i] - m) * t));
}
const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

// Black or white, whichever reads better on that colour (WCAG relative luminance).
function inkOn(colour) {
  const [r, g, b] = colour.map((c) => {
    const s = c / 255;
    return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? '#000' : '#fff';
}

// ── a figure: the name, the shape, and the numbers ───────────────────────────

const LARGEST_TABLE = 8;  // rows and columns that a table may have

function figure(name, options = {}) {
  const v = values.get(name);
  const [rows, columns] = matrixShape(v);
  const small = rows <= LARGEST_TABLE && columns <= LARGEST_TABLE;
  const shape = v.shape.length ? v.shape.join(' × ') : 'a number';
  const caption = element('figcaption', {},
    options.formula ? formulaLine(v) : nameLine(name),
    element('span', { class: 'shape' }, v.parameter ? `${shape} · ${v.parameter}` : shape));
  const body = v.shape.length === 0 ? scalar(v) : small ? table(v, rows, columns) : heatMap(v, rows, columns);
  return element('figure', { class: 'matrix', 'data-value': name }, caption, body);
}

function scalar(v) {
  return element('p', { class: 'scalar' }, number(v.numbers[0], 4));
}

function rowName(v, r) {
  if (isBatched(v)) return `example ${r}`;
  return v.shape.length === 2 ? `row ${r}` : '';
}

// What the numbers at a place of the matrix select: a unit, or an entry of a parameter.
function entry(v, rows, columns, r, c) {
  if (isBatched(v)) return { row: r, selection: { value: v.of || v.name, index: c } };
  return { row: state.row, selection: { value: v.name, index: r * columns + c } };
}

function isShownEntry(v, columns, r, c) {
  const s = shown();
  if (!s || s.index === undefined) return false;
  if (isBatched(v)) return r === state.row && s.value === (v.of || v.name) && s.index === c;
  return (s.value === v.name || s.value === v.of) && s.index === r * columns + c;
}

function table(v, rows, columns) {
  const lines = [];
  for (let r = 0; r < rows; ++r) {
    const cells = [];
    for (let c = 0; c < columns; ++c) {
      const x = v.numbers[r * columns + c];
      const colour = rgb(x, v.largest, kindOf(v));
      const place = entry(v, rows, columns, r, c);
      cells.push(element('td', {
        style: `background:${css(colour)};color:${inkOn(colour)}`,
        class: isShownEntry(v, columns, r, c) ? 'chosen' : null,
        onclick: () => change({ row: place.row, selection: place.selection, hover: null }),
      }, number(x)));
    }
    const current = isBatched(v) && r === state.row && data.rows > 1;
    lines.push(element('tr', { class: current ? 'current' : null, 'aria-label': rowName(v, r) || null }, cells));
  }
  return element('div', { class: 'wide' }, element('table', { class: columns > 5 ? 'many' : null }, element('tbody', {}, lines)));
}

// ── heat maps ────────────────────────────────────────────────────────────────

// Numbers as an image of rows × columns pixels.
function image(numbers, rows, columns, largest, kind) {
  const canvas = document.createElement('canvas');
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(columns, rows);
  for (let i = 0; i < rows * columns; ++i) {
    const [r, g, b] = i < numbers.length ? rgb(numbers[i], largest, kind) : [0, 0, 0];
    pixels.data.set([r, g, b, i < numbers.length ? 255 : 0], 4 * i);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function heatMap(v, rows, columns) {
  let smallest = Infinity;
  let largest = -Infinity;
  for (const x of v.numbers) {
    smallest = Math.min(smallest, x);
    largest = Math.max(largest, x);
  }
  const range = `from ${number(smallest)} to ${number(largest)}`;
  const canvas = image(v.numbers, rows, columns, v.largest, kindOf(v));
  canvas.style.width = `${Math.min(320, 16 * columns)}px`;
  canvas.style.height = `${Math.min(280, 16 * rows)}px`;
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `${v.name}, ${rows} by ${columns}, ${range}`);
  const readout = element('output', {}, range);
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const c = Math.min(columns - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * columns)));
    const r = Math.min(rows - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * rows)));
    return [r, c];
  };
  canvas.addEventListener('pointermove', (event) => {
    const [r, c] = place(event);
    readout.textContent = `[${r},${c}] ${number(v.numbers[r * columns + c])}`;
  });
  canvas.addEventListener('pointerleave', () => { readout.textContent = range; });
  canvas.addEventListener('click', (event) => {
    const chosen = entry(v, rows, columns, ...place(event));
    change({ row: chosen.row, selection: chosen.selection, hover: null });
  });
  return element('div', { class: 'heat' }, canvas, readout);
}

// How the numbers of one example are laid out when they are too many for units: an image where they
// are the pixels of one, otherwise a strip.
function blockShape(v) {
  const n = width(v);
  if (isBatched(v) && v.shape.length > 2) return [v.shape[1], n / v.shape[1]];
  const side = Math.round(Math.sqrt(n));
  if (side * side === n && n >= 25 && v.name === 'X') return [side, side];
  const columns = n <= 32 ? 2 : n <= 96 ? 4 : n <= 256 ? 8 : Math.ceil(Math.sqrt(n / 3));
  return [Math.ceil(n / columns), columns];
}
