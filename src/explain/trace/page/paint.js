// Colours the drawing for the stage, the example and the selection that the state holds.

// What a column shows now: its gradient on the way back, as soon as there is one, else its numbers.
function face(column) {
  const d = gradientOf(column.name);
  const gradient = state.stage > lossStage && !isUpdate() && d !== undefined && isKnown(d.name);
  if (gradient) return { v: d, kind: 'gradient', known: true };
  return { v: column.v, kind: 'value', known: isKnown(column.name) };
}

function faceOfWeights(gap) {
  const d = gradientOf(gap.w);
  if (isUpdate() && nextOf(gap.w)) return { v: nextOf(gap.w), kind: 'value', known: true };
  if (state.stage > lossStage && d && isKnown(d.name)) return { v: d, kind: 'gradient', known: true };
  return { v: values.get(gap.w), kind: 'value', known: isKnown(gap.to.name) };
}

// The layer whose numbers come about at this stage.
function isActive(gap) {
  const stage = stages[state.stage];
  if (gap.up || gap.along) {
    const back = gap.along ? 'd' + gap.from.name : gap.w && 'd' + gap.w;
    return stage.kind === 'update' || stage.lines.includes(gap.to.name) || stage.lines.includes(back);
  }
  if (stage.kind === 'update') return gap.kind === 'weights';
  if (stage.kind === 'loss') return gap.to.name === 'loss' || gap.to.name === data.output && data.output === 'P';
  if (stage.kind === 'gradient') return gap.to.name === 'loss' || gap.to.name === data.output && data.output === 'P';
  const layer = data.layers.find((l) => l.output === gap.to.name);
  return layer !== undefined && layer.number === stage.layer;
}

function paint() {
  for (const gap of parts.gaps) paintGap(gap);
  parts.columns.forEach((column, place) => (column.block ? paintBlock(column, place) : paintUnits(column, place)));
}

function paintGap(gap) {
  const chosen = shown();
  const active = isActive(gap);
  const weights = gap.kind === 'weights' ? faceOfWeights(gap) : null;
  for (const line of gap.lines) {
    let picked = chosen && (line.index !== undefined ? chosen.value === gap.w && chosen.index === line.index
      : gap.kind === 'weights' && chosen.value === gap.w && chosen.index === undefined && (chosen.to === undefined || chosen.to === line.j));
    const touched = chosen && chosen.index !== undefined &&
      (chosen.value === gap.to.name && chosen.index === line.j || chosen.value === gap.from.name && (chosen.index === line.i && !gap.from.block));
    let colour = 'var(--line)';
    let size = 0;
    if (weights && line.index !== undefined && weights.known) {
      const x = weights.v.numbers[line.index];
      size = weights.v.largest > 0 ? Math.abs(x) / weights.v.largest : 0;
      colour = css(rgb(x, weights.v.largest, weights.kind));
    }
    const band = weights && line.index === undefined;
    const gradient = gap.up || gap.along ? passing(gap) : null;
    if (gradient !== null) {
      line.made.style.stroke = picked ? 'var(--accent)' : 'var(--backward)';
      line.made.style.strokeWidth = 0.6 + 4 * gradient;
      line.made.style.opacity = active ? 1 : 0.6;
      continue;
    }
    if (band && weights.known) size = fromPickedCell(gap, line, weights, chosen);
    if (band && size !== 0) colour = css(rgb(size, 1, weights.kind));
    size = Math.abs(size);
    line.made.style.stroke = picked ? 'var(--accent)' : colour;
    line.made.style.strokeWidth = (picked ? 2.2 : 0) + (band && size === 0 ? 1.2 : 0.7 + 2.3 * size);
    line.made.style.opacity = picked || touched ? 1 : active ? (band ? 0.8 : 0.45 + 0.55 * size) : weights?.known ? 0.16 + 0.3 * size : 0.35;
  }
}

// The lines out of a block are its weights from the one number that is picked: from −1 to 1, and 0
// when none is. The lines then begin at that number.
function fromPickedCell(gap, line, weights, chosen) {
  const picked = gap.from.block && !gap.to.block && chosen?.value === gap.from.name && chosen.index !== undefined;
  line.made.setAttribute('y1', picked ? gap.from.y(chosen.index) : line.y1);
  if (!picked || weights.v.largest === 0) return 0;
  return weights.v.numbers[chosen.index * gap.to.count + line.j] / weights.v.largest;
}

function isPicked(column, j) {
  const s = shown();
  if (!s || s.index === undefined) return false;
  if (s.value === column.name) return s.index === j;
  // The two ends of a weight.
  const gap = parts.gaps.find((g) => g.w === s.value);
  if (!gap || (gap.from !== column && gap.to !== column)) return false;
  const n = matrixShape(values.get(gap.w))[1];
  return (gap.from === column && Math.floor(s.index / n) === j) || (gap.to === column && s.index % n === j);
}

function spoken(column, j, x, gradient) {
  const label = unitLabel(column.name, j);
  const what = gradient ? `gradient of ${column.name}` : column.name;
  const unit = column.name === 'loss' ? '' : ` unit ${j}${label && ', ' + label}`;
  return `${what}${unit}: ${x === null ? 'not yet computed' : number(x)}`;
}

function tabIndex(place, j) {
  return parts.focus && parts.focus.column === place && (j === null || parts.focus.index === j) ? 0 : -1;
}

function paintUnits(column, place) {
  const { v, kind, known } = face(column);
  const right = column.name === data.output ? target() : null;
  column.units.forEach(({ group, shape, text, label }, j) => {
    const x = unitNumber(v, j);
    const colour = known && column.name !== 'loss' ? rgb(x, v.largest, kind) : null;
    shape.style.fill = colour ? css(colour) : known ? 'var(--raised)' : 'var(--paper)';
    group.classList.toggle('pending', !known);
    group.classList.toggle('picked', isPicked(column, j));
    group.classList.toggle('right', right === j);
    if (text) {
      text.textContent = known ? column.name === 'loss' ? number(x) : short(x) : '';
      if (colour) text.style.fill = inkOn(colour);
    }
    if (label && column.name === data.output) label.classList.toggle('target', right === j);
    group.setAttribute('aria-label', spoken(column, j, known ? x : null, kind === 'gradient') + (right === j ? ', the right class' : ''));
    group.setAttribute('tabindex', tabIndex(place, j));
  });
  paintHeading(column, known && kind === 'gradient');
}

function paintHeading(column, gradient) {
  column.group.classList.toggle('gradient', gradient);
  column.d.textContent = gradient ? 'd' : '';
}

function paintBlock(column, place) {
  const { v, kind, known } = face(column);
  const n = column.count;
  const start = isBatched(v) ? state.row * n : 0;
  const picture = known ? image(v.numbers.subarray(start, start + n), column.rows, column.across, v.largest, kind) : null;
  if (picture) column.image.setAttribute('href', picture.toDataURL());
  column.image.style.visibility = picture ? 'visible' : 'hidden';
  const { group } = column.units[0];
  const s = shown();
  let index = -1;
  if (s && s.index !== undefined) {
    for (let j = 0; j < n && index < 0; ++j) if (isPicked(column, j)) index = j;
  }
  column.mark.setAttribute('visibility', index < 0 ? 'hidden' : 'visible');
  if (index >= 0) {
    column.mark.setAttribute('x', column.left + (index % column.across) * column.cell);
    column.mark.setAttribute('y', column.top + Math.floor(index / column.across) * column.cell);
  }
  const at = Math.max(index, 0);
  group.classList.toggle('pending', !known);
  group.setAttribute('aria-label', spoken(column, at, known ? unitNumber(v, at) : null, kind === 'gradient') + `, of ${n} numbers`);
  group.setAttribute('tabindex', tabIndex(place, null));
  paintHeading(column, known && kind === 'gradient');
}
