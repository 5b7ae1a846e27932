// The details: how one number came about. The formula for this one number, then its terms with the
// numbers in their places, then the sum.

const MOST_TERMS = 8;

// ── the terms of one number ──────────────────────────────────────────────────

const cell = (name, r, c) => {
  const v = values.get(name);
  return v.numbers[r * matrixShape(v)[1] + c];
};
const factorShape = (name, transposed) => {
  const shape = matrixShape(values.get(name));
  return transposed ? [shape[1], shape[0]] : shape;
};
const factorCell = (name, transposed, r, c) => (transposed ? cell(name, c, r) : cell(name, r, c));

const factorLabel = (name, transposed, r, c) => (transposed ? entryName(name, c, r) : entryName(name, r, c));

// W1[0,2] and b1[2], as NumPy counts.
function entryName(name, r, c) {
  return { name, index: values.get(name).shape.length < 2 ? `${c}` : `${r},${c}` };
}

function productTerms(recipe, r, c) {
  const inner = factorShape(recipe.a, recipe.at)[1];
  const terms = [];
  for (let k = 0; k < inner; ++k) {
    const a = factorCell(recipe.a, recipe.at, r, k);
    const b = factorCell(recipe.b, recipe.bt, k, c);
    terms.push({ a, b, product: a * b, names: [factorLabel(recipe.a, recipe.at, r, k), factorLabel(recipe.b, recipe.bt, k, c)] });
  }
  return terms;
}

// The number at `index` of value v, for the example that is shown.
function account(v, index) {
  const columns = isBatched(v) ? width(v) : matrixShape(v)[1];
  const r = isBatched(v) ? state.row : Math.floor(index / columns);
  const c = isBatched(v) ? index : index % columns;
  const recipe = v.recipe;
  const result = v.numbers[r * columns + c];
  if (v.name === 'loss') return lossAccount(result);
  if (!recipe) return { result };
  switch (recipe.op) {
    case 'terms': return { ...termsOf(recipe.parts, r, c), result };
    case 'softmax': return { terms: softmaxTerms(recipe.of, r), softmax: { x: cell(recipe.of, r, c), name: entryName(recipe.of, r, c) }, result };
    case 'elementwise': return { line: substituted(v, recipe.of, r * columns + c, r, c), result };
  }
  return { result };
}

// A bias stands apart, after the terms however many they are.
function termsOf(parts, r, c) {
  const found = { terms: [] };
  for (const part of parts) {
    if (part.kind === 'product') found.terms.push(...productTerms(part, r, c));
    if (part.kind === 'same') found.terms.push({ names: [entryName(part.of, r, c)], product: cell(part.of, r, c) });
    if (part.kind === 'bias') found.constant = { names: [entryName(part.of, 0, c)], product: values.get(part.of).numbers[c] };
    if (part.kind === 'rows') {
      const rows = matrixShape(values.get(part.of))[0];
      for (let k = 0; k < rows; ++k) found.terms.push({ names: [entryName(part.of, k, c)], product: cell(part.of, k, c) });
    }
  }
  return found;
}

// The product of an earlier value and a weight matrix that makes up a layer, if it is one.
function layerProduct(v) {
  const products = v.recipe?.op === 'terms' ? v.recipe.parts.filter((p) => p.kind === 'product') : [];
  const found = products.find((p) => !p.at && !p.bt && values.get(p.b).part === 'parameter');
  return found ? { x: found.a, w: found.b } : null;
}
const biasOf = (v) => v.recipe?.parts?.find((p) => p.kind === 'bias')?.of;

function softmaxTerms(name, r) {
  const n = width(values.get(name));
  return Array.from({ length: n }, (_, k) => ({ product: Math.exp(cell(name, r, k)), exponent: cell(name, r, k), names: [entryName(name, r, k)] }));
}

// Each example's own loss, whose mean the loss is.
function rowLoss(r) {
  const v = values.get(data.output);
  if (data.classes.length) return -Math.log(cell(data.output, r, target(r)));
  return (v.numbers[r] - values.get('Y').numbers[r]) ** 2;
}

function lossAccount(result) {
  const terms = Array.from({ length: data.rows }, (_, r) => ({ product: rowLoss(r), row: r, own: true }));
  return { terms, mean: true, result };
}

// The formula with numbers for names.
function substituted(v, names, flat, r, c) {
  const numberOf = (name) => {
    const u = values.get(name);
    if (u.numbers.length === 1) return u.numbers[0];
    if (u.numbers.length === v.numbers.length) return u.numbers[flat];
    return u.numbers[c % u.numbers.length];
  };
  return v.formula
    .replace(/[A-Za-z_][A-Za-z_0-9]*'?/g, (name) => {
      if (!names.includes(name)) return name;
      const x = numberOf(name);
      return x < 0 ? `(${number(x)})` : number(x);
    })
    .replace(/ ⊙ /g, ' · ').replace(/ - /g, ' − ');
}

// ── as elements ──────────────────────────────────────────────────────────────

function indexed({ name, index }) {
  return math('math', nameMath(name), math('mtext', `[${index}]`));
}

function termLabel(term) {
  if (term.own) return [`example ${term.row}`];
  const parts = term.names.flatMap((n, i) => (i ? [' · ', indexed(n)] : [indexed(n)]));
  if (term.exponent !== undefined) parts.unshift('exp ');
  return parts;
}

function termRow(term, largest, kind) {
  const share = largest > 0 ? Math.abs(term.product) / largest * 50 : 0;
  const factors = term.a !== undefined ? `${number(term.a)} · ${bracketed(term.b)}`
    : term.exponent !== undefined ? `exp ${bracketed(term.exponent)}` : '';
  const bar = element('span', { class: `bar ${kind} ${term.product < 0 ? 'minus' : 'plus'}`, style: `width:${share.toFixed(1)}%;${term.product < 0 ? 'right' : 'left'}:50%` });
  return element('tr', {},
    element('th', { scope: 'row' }, termLabel(term)),
    element('td', { class: 'factors' }, factors),
    element('td', { class: 'share' }, element('span', { class: 'bars' }, bar)),
    element('td', { class: 'product' }, number(term.product)));
}

const bracketed = (x) => (x < 0 ? `(${number(x)})` : number(x));

function accountTable(found, kind) {
  const sorted = found.terms.length > MOST_TERMS
    ? [...found.terms].sort((a, b) => Math.abs(b.product) - Math.abs(a.product)) : found.terms;
  const most = sorted.slice(0, MOST_TERMS);
  const rest = sorted.slice(MOST_TERMS);
  const lines = [...most];
  if (found.constant) lines.push(found.constant);
  const largest = Math.max(...lines.map((t) => Math.abs(t.product)));
  const rows = most.map((t) => termRow(t, largest, kind));
  if (rest.length) {
    const sum = rest.reduce((total, t) => total + t.product, 0);
    rows.push(element('tr', { class: 'rest' }, element('th', { scope: 'row' }, `${rest.length} smaller`), element('td'), element('td'),
      element('td', { class: 'product' }, number(sum))));
  }
  if (found.constant) rows.push(termRow(found.constant, largest, kind));
  const total = found.softmax ? found.terms.reduce((sum, t) => sum + t.product, 0) : found.result;
  const word = found.mean ? 'mean' : 'sum';
  rows.push(element('tr', { class: 'total' }, element('th', { scope: 'row' }, word), element('td'), element('td'),
    element('td', { class: 'product' }, number(total, 4))));
  const made = [element('div', { class: 'wide' }, element('table', { class: 'terms' }, element('tbody', {}, rows)))];
  if (found.softmax) {
    const own = Math.exp(found.softmax.x);
    made.push(element('p', { class: 'line' }, `${number(own)} / ${number(total)} = `, element('strong', {}, number(found.result, 4))));
  }
  return made;
}

// One value's number: what it is, its formula, and how it came about.
function section(title, v, index) {
  const kind = kindOf(v);
  const found = account(v, index);
  const made = [element('h3', {}, title, element('strong', { class: kind }, number(found.result, 4)))];
  if (v.formula) made.push(element('p', { class: 'formula' }, formulaLine(v)));
  if (found.line) made.push(element('p', { class: 'line' }, `${found.line} = `, element('strong', {}, number(found.result, 4))));
  if (found.terms) made.push(...accountTable(found, kind));
  return element('section', {}, made);
}

function unitTitle(v, index) {
  if (v.shape.length === 0) return element('h2', {}, nameLine(v.name));
  const columns = matrixShape(v)[1];
  const [r, c] = isBatched(v) ? [state.row, index] : [Math.floor(index / columns), index % columns];
  return element('h2', {}, indexed(entryName(v.name, r, c)), element('small', {}, unitWords(v, r, c)));
}

// "weight from petal_width to unit 2"
function unitWords(v, r, c) {
  const unit = (name, i) => unitLabel(name, i) || `unit ${i}`;
  if (isBatched(v)) return `${isOutput(v.name) && unitLabel(v.name, c) ? 'class ' : ''}${unit(v.name, c)} of example ${state.row}`;
  const gap = parts.gaps.find((g) => g.w === v.name);
  const layer = gap ?? parts.gaps.find((g) => biasOf(g.to.v) === v.name);
  if (!layer) return v.parameter;
  return gap ? `weight from ${unit(gap.from.name, r)} to ${unit(gap.to.name, c)}` : `bias of ${unit(layer.to.name, c)}`;
}

// What a weight does to the example that is shown.
function carried(v, index) {
  const gap = parts.gaps.find((g) => g.w === v.name);
  if (gap && (gap.up || gap.along)) return element('p', { class: 'line' }, 'The same weight works at every time step.');
  if (!gap || !isKnown(gap.to.name) || !isBatched(gap.from.v)) return null;
  const n = matrixShape(v)[1];
  const [i, j] = [Math.floor(index / n), index % n];
  const x = unitNumber(gap.from.v, i);
  return element('p', { class: 'line' }, 'It brings ', indexed(entryName(gap.from.name, state.row, i)), ' · ', indexed(entryName(v.name, i, j)),
    ` = ${number(x)} · ${bracketed(v.numbers[index])} = `, element('strong', {}, number(x * v.numbers[index])), ' into ',
    indexed(entryName(gap.to.name, state.row, j)), '.');
}

// The details of what is selected.
function details({ value, index, to }) {
  const v = values.get(value);
  if (index === undefined) return wholeDetails(v, to);
  const made = [unitTitle(v, index)];
  const sections = [];
  if (isKnown(value)) {
    sections.push(section('value', v, index));
    if (v.part === 'parameter' && v.shape.length === 2) sections[0].append(carried(v, index) ?? '');
    if (layerProduct(v) && blockBefore(value)) sections[0].append(...intoUnit(values.get(layerProduct(v).w), index));
  }
  const d = gradientOf(value);
  if (d && isKnown(d.name) && state.stage > lossStage) sections.push(section('gradient', d, index));
  const next = nextOf(value);
  if (next && isUpdate()) sections.push(section('after the step', next, index));
  if (isBackward()) sections.reverse();
  if (!sections.length) made.push(element('p', { class: 'hint' }, 'Not computed yet: go on with →.'));
  return [...made, ...sections];
}

const blockBefore = (name) => parts.gaps.find((g) => g.to.name === name && g.from.block && g.kind === 'weights' && !g.to.block);

function wholeDetails(v, to) {
  const made = [element('h2', {}, nameLine(v.name), to === undefined ? '' : ` into unit ${to}`)];
  if (to !== undefined) return [...made, ...intoUnit(v, to)];
  const shownValues = [v, gradientOf(v.name), nextOf(v.name)].filter((u) => u && (u === v || isKnown(u.name)));
  return [...made, ...shownValues.map((u) => figure(u.name, { formula: true }))];
}

// All weights of a block into one unit, laid out like the block.
function intoUnit(v, to) {
  const [m, n] = matrixShape(v);
  const from = parts.gaps.find((g) => g.w === v.name).from;
  const [rows, across] = blockShape(from.v);
  const d = gradientOf(v.name);
  return [v, d].filter((u) => u && (u === v || isKnown(u.name))).map((u) => {
    const numbers = Float32Array.from({ length: m }, (_, i) => u.numbers[i * n + to]);
    const canvas = image(numbers, rows, across, u.largest, kindOf(u));
    const cellSize = Math.min(18, 200 / across);
    canvas.style.width = `${across * cellSize}px`;
    canvas.style.height = `${rows * cellSize}px`;
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `${m} numbers of ${u.name} into unit ${to}, laid out like ${from.name}`);
    return element('figure', { class: 'matrix' }, element('figcaption', {}, nameLine(u.name),
      element('span', { class: 'shape' }, `into unit ${to}, laid out like ${from.name}`)), element('div', { class: 'heat' }, canvas));
  });
}
