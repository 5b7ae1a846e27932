// The controls: the slider, the story of the stage, the panel, the keys. Each listens to the state.

const by = (id) => document.getElementById(id);
const slider = by('slider');
const MOST_FORMULAS = 5;

// ── the story ────────────────────────────────────────────────────────────────

function stageFormulas(stage) {
  const lines = stage.lines.map((name) => values.get(name)).filter((v) => v.formula);
  const made = lines.slice(0, MOST_FORMULAS).map((v) => element('p', { class: 'formula' }, formulaLine(v)));
  if (lines.length > MOST_FORMULAS) made.push(element('p', { class: 'more' }, `and ${lines.length - MOST_FORMULAS} more like these`));
  return made;
}

// Words, with the names of values set as in formulas.
function withMath(text) {
  return text.split(/([A-Za-z]+\d*(?:_\w+)*'?²?)/).map((word) => {
    const [, name, square] = /^(.*?)(²?)$/.exec(word);
    if (!values.has(name) || name === 'loss' || name === 'step') return word;
    return math('math', square ? math('msup', nameMath(name), math('mn', '2')) : nameMath(name));
  });
}

function tellStory() {
  const stage = stages[state.stage];
  by('title').textContent = stage.title;
  by('text').replaceChildren(...withMath(stage.text));
  by('formulas').replaceChildren(...stageFormulas(stage));
  slider.value = state.stage;
  [...by('ticks').children].forEach((tick, i) => tick.classList.toggle('now', i === state.stage));
  slider.setAttribute('aria-valuetext', `${state.stage + 1} of ${stages.length}: ${stage.title}`);
  by('back').disabled = state.stage === 0;
  by('forth').disabled = state.stage === stages.length - 1;
}

// Room for the longest story, so that nothing jumps from stage to stage.
function keepRoom() {
  const story = by('story');
  story.style.minHeight = '';
  if (innerWidth <= 900) return tellStory();  // there it stands below the drawing
  const now = state.stage;
  let most = 0;
  for (let i = 0; i < stages.length; ++i) {
    state.stage = i;
    tellStory();
    most = Math.max(most, story.offsetHeight);
  }
  state.stage = now;
  tellStory();
  story.style.minHeight = `${Math.min(most, 240)}px`;
}

// ── the panel ────────────────────────────────────────────────────────────────

// The matrices of the stage: what comes about in it, and the parameters that it takes.
function stageFigures(stage) {
  const names = [];
  const layer = data.layers.find((l) => l.number === stage.layer);
  if (stage.kind === 'forward' && layer) names.push(...layer.parameters);
  if (stage.kind === 'update') {
    const pairs = stage.lines.filter((name) => values.get(name).of);
    // Weights first, then what the optimiser keeps for itself, whose names have a slash.
    const isState = (name) => values.get(values.get(name).of).parameter.includes('/');
    for (const name of [...pairs.filter((n) => !isState(n)), ...pairs.filter(isState)]) names.push(values.get(name).of, name);
  } else {
    names.push(...stage.lines);
  }
  return [...new Set(names)];
}

function fillPanel() {
  const chosen = shown();
  const panel = by('panel');
  panel.classList.toggle('open', state.selection !== null);
  if (chosen) {
    panel.replaceChildren(
      state.selection ? element('button', { class: 'close', type: 'button', 'aria-label': 'Close the details', onclick: close }, '×') : '',
      ...details(chosen));
    return;
  }
  const stage = stages[state.stage];
  const through = state.stage > lossStage ? data.sequences.filter((s) => s.layer === stage.layer) : [];
  panel.replaceChildren(...through.map(normsFigure), element('p', { class: 'hint' }, 'Choose a unit or a weight to see how its number came about.'),
    ...stageFigures(stage).map((name) => figure(name)));
}

function close() {
  if (document.activeElement?.closest('#panel, #drawing')) document.activeElement.blur();
  change({ selection: null, hover: null });
}

// ── the legend ───────────────────────────────────────────────────────────────

function fillLegend() {
  const bar = (kind, word) => {
    const steps = Array.from({ length: 9 }, (_, i) => css(rgb((i - 4) / 4, 1, kind))).join(',');
    return element('span', { class: 'key' }, element('span', {}, '−'), element('i', { style: `background:linear-gradient(90deg,${steps})` }),
      element('span', {}, `+ ${word}`));
  };
  by('legend').replaceChildren(bar('value', 'values'), bar('gradient', 'gradients'));
}

// ── the slider ───────────────────────────────────────────────────────────────

function fillPhases() {
  const phase = (s) => (s.kind === 'gradient' ? 'backward' : s.kind === 'input' ? 'forward' : s.kind);
  const runs = [];
  for (const stage of stages) {
    const last = runs[runs.length - 1];
    if (last?.phase === phase(stage)) last.count += 1;
    else runs.push({ phase: phase(stage), count: 1 });
  }
  const n = stages.length - 1;
  let first = 0;
  by('phases').replaceChildren(...runs.map((r) => {
    const [from, to] = [Math.max(0, first - 0.5), Math.min(n, first + r.count - 0.5)];
    first += r.count;
    return element('span', { class: r.phase, style: `left:${from / n * 100}%;width:${(to - from) / n * 100}%` });
  }));
  by('ticks').replaceChildren(...stages.map((s, i) => element('span', { class: phase(s), style: `left:${i / n * 100}%`,
    onclick: () => change({ stage: i }) }, s.mark === '' ? '' : nameOrWord(s.mark))));
}

// Where there are many stages only as many are named as have room.
function thinTicks() {
  const ticks = [...by('ticks').children];
  let taken = -Infinity;
  const end = ticks[ticks.length - 1].getBoundingClientRect().left;
  ticks.forEach((tick, i) => {
    const box = tick.getBoundingClientRect();
    const fits = box.left > taken && (i === ticks.length - 1 || box.right < end);
    tick.style.visibility = fits ? '' : 'hidden';
    if (fits) taken = box.right;
  });
}

const nameOrWord = (mark) => (mark === 'loss' ? mark : nameLine(mark));

let timer = null;
function play(on = timer === null) {
  clearInterval(timer);
  timer = null;
  if (on) {
    if (state.stage === stages.length - 1) change({ stage: 0 });
    timer = setInterval(() => {
      change({ stage: state.stage + 1 });
      if (state.stage === stages.length - 1) play(false);
    }, 2200);
  }
  by('play').textContent = on ? 'Pause' : 'Play';
  by('play').setAttribute('aria-pressed', on);
}

const step = (by_) => {
  play(false);
  change({ stage: state.stage + by_ });
};
const nextRow = (by_) => change({ row: (state.row + by_ + data.rows) % data.rows });

// ── light and dark ───────────────────────────────────────────────────────────

function switchTheme() {
  document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
  recolour();
}

function recolour() {
  fillLegend();
  paint();
  fillPanel();
}

// ── the keys ─────────────────────────────────────────────────────────────────

const KEYS = {
  ArrowLeft: (inside) => (inside ? moveFocus(-1, 0) : step(-1)),
  ArrowRight: (inside) => (inside ? moveFocus(1, 0) : step(1)),
  ArrowUp: (inside) => inside && moveFocus(0, -1),
  ArrowDown: (inside) => inside && moveFocus(0, 1),
  Home: () => change({ stage: 0 }),
  End: () => change({ stage: stages.length - 1 }),
  ' ': () => play(),
  '[': () => nextRow(-1),
  ']': () => nextRow(1),
  w: () => nextWeight(1),
  W: () => nextWeight(-1),
  t: switchTheme,
  '?': () => by('keys').showModal(),
  Escape: close,
};

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || by('keys').open) return;
  const inside = event.target.closest?.('#drawing') !== null && event.target !== document.body;
  const owner = event.target.tagName;
  // A button keeps its space bar, a list its arrows; up and down scroll the page outside the drawing.
  if (owner === 'SELECT' && event.key !== 'Escape') return;
  if (event.key === ' ' && owner === 'BUTTON') return;
  if (event.key.startsWith('ArrowU') || event.key.startsWith('ArrowD')) if (!inside) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action(inside);
}

// ── together ─────────────────────────────────────────────────────────────────

function listen() {
  slider.addEventListener('input', () => {
    play(false);
    change({ stage: Number(slider.value) });
  });
  by('back').addEventListener('click', () => step(-1));
  by('forth').addEventListener('click', () => step(1));
  by('play').addEventListener('click', () => play());
  by('row-back').addEventListener('click', () => nextRow(-1));
  by('row-forth').addEventListener('click', () => nextRow(1));
  by('row').addEventListener('change', () => change({ row: by('row').selectedIndex }));
  by('theme').addEventListener('click', switchTheme);
  by('help').addEventListener('click', () => by('keys').showModal());
  document.addEventListener('keydown', onKey);
  window.addEventListener('hashchange', readAddress);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolour);
  let wide = innerWidth;
  window.addEventListener('resize', () => {
    if (innerWidth === wide) return;  // a phone's address bar comes and goes
    wide = innerWidth;
    keepRoom();
    build();
    thinTicks();
  });
  listeners.push((what) => {
    if ('stage' in what) tellStory();
    if ('row' in what) by('row').selectedIndex = state.row;
    paint();
    fillPanel();
    if (!('hover' in what) || 'selection' in what || 'stage' in what) noteAddress();
    if ('stage' in what) showActive();
  });
}

// Where the drawing is wider than its window, the active layer is brought into sight.
function showActive() {
  const gap = parts.gaps?.find(isActive);
  if (!gap || drawing.scrollWidth <= drawing.clientWidth) return;
  drawing.scrollTo({ left: (gap.from.x + gap.to.x) / 2 - drawing.clientWidth / 2, behavior: 'smooth' });
}

function exampleName(r) {
  const t = target(r);
  return t === null ? `${r}` : `${r}: ${data.classes[t]}`;
}

function start() {
  by('about').textContent = `${data.network} · ${data.rows} example${data.rows === 1 ? '' : 's'} · ${data.optimizer}, learning rate ${data.lr}`;
  slider.max = stages.length - 1;
  by('row').replaceChildren(...Array.from({ length: data.rows }, (_, r) => element('option', {}, exampleName(r))));
  by('rows').hidden = data.rows === 1;
  fillPhases();
  fillLegend();
  keepRoom();
  build();
  listen();
  readAddress();
  thinTicks();
}

start();
