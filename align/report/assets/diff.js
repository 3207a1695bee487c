// Words that two texts do not share: the longest common subsequence of words, spaces and signs.
const WORDS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}\p{M}_]+|\s+|[^]/gu;
const MOST_CELLS = 4_000_000;

/** [[text, shared], ...] for either text; the whole middle counts as changed where it is too long to compare. */
const differences = (before, after) => {
  const a = before.match(WORDS) || [], b = after.match(WORDS) || [];
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const x = a.slice(head, a.length - tail), y = b.slice(head, b.length - tail);
  const [inX, inY] = common(x, y);
  const told = (all, middle) => runs(all.map((w, i) => [w, i < head || i >= all.length - tail || middle[i - head] === 1]));
  return [told(a, inX), told(b, inY)];
};

const common = (x, y) => {
  const inX = new Uint8Array(x.length), inY = new Uint8Array(y.length);
  if (!x.length || !y.length || x.length * y.length > MOST_CELLS) return [inX, inY];
  const width = y.length + 1, length = new Uint16Array((x.length + 1) * width);
  for (let i = x.length - 1; i >= 0; i--)
    for (let j = y.length - 1; j >= 0; j--)
      length[i * width + j] = x[i] === y[j] ? length[(i + 1) * width + j + 1] + 1
        : Math.max(length[(i + 1) * width + j], length[i * width + j + 1]);
  for (let i = 0, j = 0; i < x.length && j < y.length;) {
    if (x[i] === y[j]) inX[i++] = inY[j++] = 1;
    else if (length[(i + 1) * width + j] >= length[i * width + j + 1]) i++;
    else j++;
  }
  return [inX, inY];
};

const runs = (words) => {
  const out = [];
  for (const [word, shared] of words) {
    if (out.length && out.at(-1)[1] === shared) out.at(-1)[0] += word;
    else out.push([word, shared]);
  }
  return out;
};
