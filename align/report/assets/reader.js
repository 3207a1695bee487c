// The reader: a list of prompts of which only the visible part is drawn, and the chosen one with its answers.
const $ = (id) => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const unpack = async (text) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).json();
};
const signed = (x) => (x > 0 ? "+" : x < 0 ? "−" : "±") + Math.abs(Number(x.toPrecision(3)));
const plain = (x) => (x === null ? "–" : String(Number(x.toPrecision(3))).replace("-", "−"));
const options = (select, names, chosen) => {
  select.replaceChildren(...names.map((name, i) => make("option", { value: i }, name)));
  select.value = Math.max(0, chosen);
};
/** Text as it is, an empty answer told as such. */
const said = (text) => (text === "" ? [make("em", { class: "dim" }, "(an empty answer)")] : [text]);
const turns = (prompt) => prompt.map(([role, content]) =>
  make("div", { class: "turn" }, make("span", { class: "role" }, role), make("div", { class: "said" }, content)));

const ROW = 44, LIKE = 0.2;  // pixels of a row; share of an answer that must be shared for its differences to be marked
const reader = { suite: null, rows: [], at: 0, data: null };

const start = async () => {
  const packed = $("generations");
  if (!packed) return;
  try { reader.data = await unpack(packed.textContent); }
  catch (error) { $("shown").textContent = `This browser cannot unpack the generations (${error.message}).`; return; }
  const suites = reader.data.suites;
  options($("suite"), suites.map((s) => (suites.filter((o) => o.name === s.name).length > 1 || s.name === "samples" ? `${s.stage}: ${s.name}` : s.name)), 0);
  $("suite").addEventListener("change", choose);
  for (const id of ["new", "old", "metric", "order", "slice"]) $(id).addEventListener("change", filter);
  let waiting;
  $("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("list").addEventListener("scroll", () => requestAnimationFrame(draw));
  $("list").addEventListener("click", (event) => {
    const row = event.target.closest("[data-at]");
    if (row) move(Number(row.dataset.at));
  });
  addEventListener("resize", draw);
  $("read").addEventListener("keydown", keys);
  choose();
};

const choose = () => {
  const suite = reader.suite = reader.data.suites[$("suite").value], models = suite.models;
  const old = Math.max(0, models.indexOf(suite.baseline)), last = models.length - 1;
  options($("old"), models, old);
  options($("new"), models, last === old && last > 0 ? last - 1 : last);
  const main = suite.metrics.findIndex((m) => m.better !== 0);
  options($("metric"), suite.metrics.map((m) => m.name.replaceAll("_", " ")), main);
  const slices = [...new Set(suite.slices.filter((s) => s !== null))].sort();
  $("slice").replaceChildren(make("option", { value: "" }, "all"), ...slices.map((s) => make("option", { value: s }, s.replaceAll("_", " "))));
  $("slice").parentElement.hidden = !slices.length;
  $("order").value = "asked";
  suite.lower ||= suite.prompts.map((p, i) => [...p.map((t) => t[1]), ...suite.texts.map((t) => t[i])].join("\n").toLowerCase());
  filter();
};

const chosenMetric = () => reader.suite.metrics[$("metric").value];
/** How much better the new model's answer is by the metric (how much more where no way is better); null without scores. */
const gain = (i) => {
  const metric = chosenMetric();
  if (!metric) return null;
  const now = metric.values[$("new").value][i], before = metric.values[$("old").value][i];
  return now === null || before === null ? null : (now - before) * (metric.better || 1);
};

const filter = () => {
  const suite = reader.suite, wanted = $("search").value.trim().toLowerCase(), slice = $("slice").value;
  let rows = suite.prompts.map((_, i) => i);
  if (slice) rows = rows.filter((i) => suite.slices[i] === slice);
  if (wanted) rows = rows.filter((i) => suite.lower[i].includes(wanted));
  const order = $("order").value, sign = { win: -1, loss: 1 }[order];
  if (sign) rows = rows.filter((i) => gain(i) !== null).sort((a, b) => sign * (gain(a) - gain(b)) || a - b);
  if (order === "change") {
    const size = new Map(rows.map((i) => [i, Math.abs(gain(i) ?? 0) + (suite.texts[$("new").value][i] === suite.texts[$("old").value][i] ? 0 : 1e-9)]));
    rows.sort((a, b) => size.get(b) - size.get(a) || a - b);
  }
  reader.rows = rows;
  const gains = rows.map(gain).filter((g) => g !== null), count = (test) => gains.filter(test).length.toLocaleString("en");
  const part = suite.prompts.length < suite.rows ? ` (an even share of ${suite.rows.toLocaleString("en")}, so that this file stays small)` : "";
  $("shown").textContent = `${rows.length.toLocaleString("en")} of ${suite.prompts.length.toLocaleString("en")} prompts${part}` +
    (gains.length && $("new").value !== $("old").value ? `: ${suite.models[$("new").value]} ${chosenMetric().better ? "wins" : "has more in"} ${count((g) => g > 0)}, ${chosenMetric().better ? "loses" : "less in"} ${count((g) => g < 0)}, the same in ${count((g) => g === 0)}` : "");
  $("list").scrollTop = 0;
  move(0);
};

const move = (at) => {
  reader.at = Math.max(0, Math.min(at, reader.rows.length - 1));
  const list = $("list"), top = reader.at * ROW;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  draw();
  detail();
};

const draw = () => {
  const list = $("list"), first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const last = Math.min(reader.rows.length, first + Math.ceil(list.clientHeight / ROW) + 8);
  $("spacer").style.height = `${reader.rows.length * ROW}px`;
  $("spacer").replaceChildren(...Array.from({ length: last - first }, (_, n) => line(first + n)));
  if (reader.rows.length) list.setAttribute("aria-activedescendant", `row-${reader.at}`);
  else list.removeAttribute("aria-activedescendant");
};

const line = (at) => {
  const i = reader.rows[at], suite = reader.suite, won = gain(i), chosen = at === reader.at;
  const row = make("div", { id: `row-${at}`, "data-at": at, role: "option", class: "line", "aria-selected": chosen, "aria-posinset": at + 1, "aria-setsize": reader.rows.length },
    make("span", { class: "asked" }, suite.prompts[i].at(-1)[1].slice(0, 160)),
    make("span", { class: "under dim" }, suite.texts[$("new").value][i].slice(0, 120) || "(an empty answer)"));
  if (won !== null && $("new").value !== $("old").value)
    row.append(make("span", { class: `gain ${!chosenMetric().better ? "dim" : won > 0 ? "better" : won < 0 ? "worse" : "dim"}` }, won === 0 ? "=" : signed(won)));
  row.style.top = `${at * ROW}px`;
  return row;
};

const detail = () => {
  const suite = reader.suite, i = reader.rows[reader.at], box = $("detail");
  if (i === undefined) { box.replaceChildren(make("p", { class: "dim" }, "Nothing is like that.")); return; }
  const before = Number($("old").value), after = Number($("new").value);
  const order = [before, after, ...suite.models.keys()].filter((m, n, all) => all.indexOf(m) === n);
  const [old, now] = differences(suite.texts[before][i], suite.texts[after][i]);
  const answers = order.map((m) => {
    const parts = m === before && m !== after ? old : m === after && m !== before ? now : differences(suite.texts[before][i], suite.texts[m][i])[1];
    return answer(m, i, parts, m === before ? "del" : "ins");
  });
  const where = [`row ${i + 1}`, suite.slices[i] && suite.slices[i].replaceAll("_", " ")].filter(Boolean).join(" · ");
  box.replaceChildren(make("p", { class: "dim where" }, where), make("div", { class: "prompt" }, ...turns(suite.prompts[i])), make("div", { class: "answers" }, ...answers));
  box.scrollTop = 0;
};

const answer = (model, i, parts, changed) => {
  const suite = reader.suite, text = suite.texts[model][i], alone = suite.models.length === 1;
  const common = parts.reduce((sum, [part, shared]) => sum + (shared ? part.trim().length : 0), 0);
  const apart = common < LIKE * text.trim().length;  // marking nearly every word would only make it harder to read
  const marked = parts.map(([part, shared]) => (shared || alone || apart ? part : make(changed, {}, part)));
  const scores = suite.metrics.flatMap((m) => [make("dt", {}, m.name.replaceAll("_", " ")), make("dd", {}, plain(m.values[model][i]))]);
  return make("section", { "aria-label": `Answer of ${suite.models[model]}` }, make("h3", {}, suite.models[model]),
    make("div", { class: "answer" }, ...(text === "" ? said(text) : marked)), make("dl", { class: "scores" }, ...scores));
};

const keys = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) { if (event.key === "Escape") $("list").focus(); return; }
  const page = Math.max(1, Math.floor($("list").clientHeight / ROW) - 1), order = { w: "win", l: "loss", o: "asked" }[event.key];
  const to = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
  if (order) { $("order").value = order; filter(); }
  else if (event.key === "/") $("search").focus();
  else if (event.key === "v") $("open-vote").click();
  else if (to !== undefined && (event.target === $("list") || "jk".includes(event.key))) move(reader.at + to);
  else return;
  event.preventDefault();
};
