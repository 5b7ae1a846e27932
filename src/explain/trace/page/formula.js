// Formulas arrive as one line of text, such as "(P - Y) / 6". They are read by a small recursive
// descent and set as MathML, with real fractions; every name of a value can be pointed at.

const MATH = 'http://www.w3.org/1998/Math/MathML';

function math(tag, ...children) {
  const made = document.createElementNS(MATH, tag);
  made.append(...children);
  return made;
}

// W1' as a letter with an index and a prime; dZ1 with an upright d before it.
function nameMath(name) {
  const match = /^(d?)([A-Za-z]+?)(\d*)((?:_\w+)?)('?)$/.exec(name);
  if (!match) return math('mi', name.replaceAll('_', ' '));
  let [, d, base, number, rest, prime] = match;
  if (d && !values.has(name.slice(1).replace("'", ''))) [d, base] = ['', d + base];
  const letter = math('mi', base);
  const index = [number, ...rest.split('_')].filter((part) => part !== '').join(',');
  let made = letter;
  if (index && prime) made = math('msubsup', letter, math('mn', index), math('mo', '′'));
  else if (index) made = math('msub', letter, math('mn', index));
  else if (prime) made = math('msup', letter, math('mo', '′'));
  if (!d) return made;
  const upright = math('mi', 'd');
  upright.setAttribute('mathvariant', 'normal');
  return math('mrow', upright, made);
}

function pointable(name) {
  const made = nameMath(name);
  if (!values.has(name)) return made;
  made.classList.add('name');
  made.addEventListener('pointerenter', () => change({ hover: { value: name } }));
  made.addEventListener('pointerleave', () => change({ hover: null }));
  made.addEventListener('click', () => change({ selection: { value: name }, hover: null }));
  return made;
}

const TOKEN = /\s*(?:(\d+(?:\.\d+)?(?:e[+-]?\d+)?)|([A-Za-z_][A-Za-z_0-9]*'?)|(.))/gu;

// A minus and a sum reach over a product without parentheses.
const bare = (of) => (of.inner && !of.loose ? of.inner : of.node);

// Only around fractions need parentheses be tall.
function fence(sign, inner) {
  const made = math('mo', sign);
  made.setAttribute('stretchy', inner.querySelector('mfrac') !== null);
  return made;
}

class FormulaReader {
  constructor(text) {
    this.tokens = [...text.matchAll(TOKEN)].map(([, num, name, sign]) => ({ num, name, sign }));
    this.at = 0;
  }
  sign() { return this.tokens[this.at]?.sign; }
  take(sign) {
    if (this.sign() !== sign) throw new SyntaxError(`expected ${sign}`);
    this.at += 1;
  }
  all() {
    const made = this.comparison();
    if (this.at < this.tokens.length) throw new SyntaxError('left over');
    return made.node;
  }
  comparison() {
    let left = this.sum();
    while ('<>≤≥≠='.includes(this.sign() ?? '§')) left = this.joined(left, this.sum);
    return left;
  }
  sum() {
    let left = this.product();
    while ('+-−'.includes(this.sign() ?? '§')) left = this.joined(left, this.product);
    return left;
  }
  joined(left, next) {
    const sign = this.sign().replace('-', '−');
    this.at += 1;
    return { node: math('mrow', left.node, math('mo', sign), next.call(this).node), loose: true };
  }
  product() {
    let left = this.unary();
    while ('⊙·/'.includes(this.sign() ?? '§')) {
      if (this.sign() !== '/') {
        left = this.times(left);
        continue;
      }
      this.at += 1;
      const right = this.unary();
      left = { node: math('mfrac', left.inner ?? left.node, right.inner ?? right.node) };
    }
    return left;
  }
  // Where one factor is a single number, ⊙ is an ordinary product.
  times(left) {
    const sign = this.sign();
    this.at += 1;
    const right = this.unary();
    const plain = sign === '·' || left.scalar || right.scalar;
    return { node: math('mrow', left.node, math('mo', plain ? '·' : '⊙'), right.node), scalar: left.scalar && right.scalar };
  }
  unary() {
    const sign = this.sign();
    if (sign === '-' || sign === '−') {
      this.at += 1;
      return { node: math('mrow', math('mo', '−'), bare(this.unary())) };
    }
    if (sign === 'Σ') {
      this.at += 1;
      return { node: math('mrow', math('mo', '∑'), bare(this.unary())) };
    }
    if (sign === '√') {
      this.at += 1;
      const under = this.power();
      return { node: math('msqrt', under.inner ?? under.node) };
    }
    return this.power();
  }
  power() {
    let base = this.atom();
    for (;;) {
      const sign = this.sign();
      if (sign === 'ᵀ') {
        this.at += 1;
        base = { node: math('msup', base.node, math('mi', 'T')) };
      } else if ('²³'.includes(sign ?? '§')) {
        this.at += 1;
        base = { node: math('msup', base.node, math('mn', sign === '²' ? '2' : '3')) };
      } else if (sign === '^') {
        this.at += 1;
        const exponent = this.unary();
        base = { node: math('msup', base.node, exponent.inner ?? exponent.node) };
      } else {
        return base;
      }
    }
  }
  atom() {
    const token = this.tokens[this.at];
    if (!token) throw new SyntaxError('too short');
    this.at += 1;
    if (token.num) return { node: math('mn', token.num), scalar: true };
    if (token.name) {
      if (this.sign() !== '(') return this.cut({ node: pointable(token.name), scalar: values.get(token.name)?.shape.length === 0 });
      return { node: math('mrow', math('mi', token.name.replaceAll('_', ' ')), this.group('(', ')').node) };
    }
    this.at -= 1;
    if (token.sign === '(') return this.group('(', ')');
    if (token.sign === '[') return this.group('[', ']');
    if (token.sign === '|') return this.group('|', '|');
    throw new SyntaxError(token.sign);
  }
  // Z[:, 0:4], as NumPy cuts.
  cut(of) {
    if (this.sign() !== '[') return of;
    let text = '';
    for (; this.at < this.tokens.length; this.at += 1) {
      const { num, name, sign } = this.tokens[this.at];
      text += num ?? name ?? (sign === ',' ? ', ' : sign);
      if (sign === ']') break;
    }
    this.take(']');
    return { node: math('mrow', of.node, math('mtext', text)) };
  }
  group(open, close) {
    this.take(open);
    const first = this.comparison();
    const parts = [first.node];
    while (this.sign() === ',') {
      this.at += 1;
      parts.push(math('mo', ','), this.comparison().node);
    }
    this.take(close);
    const inner = math('mrow', ...parts);
    // A node can stand in one place only, so what a fraction takes without its parentheses is taken out.
    const node = math('mrow', fence(open, inner), inner, fence(close, inner));
    return open === '(' ? { node, inner, loose: first.loose } : { node };
  }
}

// "name = formula" as an element. What cannot be read is shown as the text that it is.
function formulaLine(v) {
  const made = math('math');
  const left = pointable(v.name);
  if (!v.formula) {
    made.append(left);
    return made;
  }
  try {
    made.append(math('mrow', left, math('mo', '='), new FormulaReader(v.formula).all()));
  } catch {
    made.append(math('mrow', left, math('mo', '='), math('mtext', v.formula)));
  }
  return made;
}

function nameLine(name) {
  return math('math', nameMath(name));
}
