// Blind votes: which of two answers is better, their models hidden and their sides drawn by lot.
const ballot = { pairs: [], votes: [], since: 0, kept: true };

const lot = (below) => {  // a fair draw: numbers beyond the last whole multiple are drawn again
  const most = Math.floor(2 ** 32 / below) * below, drawn = new Uint32Array(1);
  do crypto.getRandomValues(drawn); while (drawn[0] >= most);
  return drawn[0] % below;
};
const shuffled = (all) => {
  for (let i = all.length - 1; i > 0; i--) {
    const j = lot(i + 1);
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
};
const show = (part) => { for (const id of ["vote-setup", "vote-ask", "vote-done"]) $(id).hidden = id !== part; };

const differing = () => {
  const suite = reader.suite, a = suite.texts[$("vote-old").value], b = suite.texts[$("vote-new").value];
  return reader.rows.filter((i) => a[i] !== b[i]);
};
const tellSetup = () => {
  const found = differing().length, same = reader.rows.length - found, one = $("vote-old").value === $("vote-new").value;
  $("vote-told").textContent = one ? "Choose two models." : `${found.toLocaleString("en")} prompts of those shown, drawn by lot` + (same ? `; ${same.toLocaleString("en")} with equal answers are left out.` : ".");
  $("vote-start").disabled = one || !found;
  $("vote-count").max = found;
};

const openVote = () => {
  if (!ballot.kept) { show(ballot.votes.length < ballot.pairs.length ? "vote-ask" : "vote-done"); $("vote").showModal(); return; }
  options($("vote-old"), reader.suite.models, Number($("old").value));
  options($("vote-new"), reader.suite.models, Number($("new").value));
  show("vote-setup");
  tellSetup();
  $("vote").showModal();
  $("vote-start").focus();
};

const startVote = () => {
  const both = [Number($("vote-old").value), Number($("vote-new").value)], rows = shuffled(differing());
  ballot.pairs = rows.slice(0, Math.max(1, Number($("vote-count").value) || 1)).map((row) => ({ row, sides: shuffled([...both]) }));
  ballot.suite = reader.suite;
  ballot.votes = [];
  ballot.kept = false;
  show("vote-ask");
  ask();
};

const ask = () => {
  const done = ballot.votes.length, pair = ballot.pairs[done];
  if (!pair) { endVote(); return; }
  const suite = ballot.suite;
  $("vote-progress").max = ballot.pairs.length;
  $("vote-progress").value = done;
  $("vote-place").textContent = `${done + 1} of ${ballot.pairs.length}`;
  $("vote-undo").disabled = !done;
  $("vote-prompt").replaceChildren(...turns(suite.prompts[pair.row]));
  ["vote-left", "vote-right"].forEach((id, side) => {
    $(id).replaceChildren(...said(suite.texts[pair.sides[side]][pair.row]));
    $(id).scrollTop = 0;
  });
  const heard = (side) => suite.texts[pair.sides[side]][pair.row] || "an empty answer";
  const asked = suite.prompts[pair.row].map(([role, content]) => `${role}: ${content}`).join(" ");
  $("vote-heard").textContent = `${done + 1} of ${ballot.pairs.length}. ${asked} Left: ${heard(0)} Right: ${heard(1)}`;  // read aloud
  ballot.since = performance.now();
  if (!$("vote-ask").contains(document.activeElement)) $("vote-prompt").focus({ preventScroll: true });
};

const cast = (choice) => {
  ballot.votes.push({ choice, seconds: Math.round((performance.now() - ballot.since) / 100) / 10, time: new Date().toISOString() });
  ask();
};

/** One JSON object a vote, with everything that a reader of it needs. */
const lines = () => ballot.votes.map((vote, n) => {
  const { row, sides } = ballot.pairs[n], suite = ballot.suite, [left, right] = sides;
  return JSON.stringify({
    format: "align/vote", version: 1, recipe: reader.data.recipe, stage: suite.stage, suite: suite.name, row, slice: suite.slices[row],
    prompt: suite.prompts[row].map(([role, content]) => ({ role, content })),
    left: { model: suite.models[left], digest: suite.digests[left], text: suite.texts[left][row] },
    right: { model: suite.models[right], digest: suite.digests[right], text: suite.texts[right][row] },
    choice: vote.choice, seconds: vote.seconds, time: vote.time,
  }) + "\n";
}).join("");

const endVote = () => {
  ballot.pairs.length = ballot.votes.length;
  const won = new Map(), count = (choice) => ballot.votes.filter((v) => v.choice === choice).length;
  ballot.votes.forEach((vote, n) => {
    const side = { left: 0, right: 1 }[vote.choice];
    if (side !== undefined) { const m = ballot.suite.models[ballot.pairs[n].sides[side]]; won.set(m, (won.get(m) || 0) + 1); }
  });
  const told = [...won].sort((a, b) => b[1] - a[1]).map(([model, n]) => `${model} was better in ${n}`);
  $("vote-result").textContent = ballot.votes.length ? [...told, `as good in ${count("tie")}`, `skipped ${count("skip")}`].join(", ") + "." : "No vote was cast.";
  $("vote-file").textContent = fileName();
  $("vote-lines").value = lines();
  show("vote-done");
  $("vote-download").disabled = $("vote-copy").disabled = !ballot.votes.length;
  if (!ballot.votes.length) ballot.kept = true;
  $("vote-download").focus();
};

const fileName = () => `${reader.data.recipe}-${ballot.suite.name}-votes.jsonl`;
const download = () => {
  const address = URL.createObjectURL(new Blob([lines()], { type: "application/jsonl" }));
  const link = make("a", { href: address, download: fileName() });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
  ballot.kept = true;
};
const copy = async () => {
  const area = $("vote-lines");
  area.select();
  try { await navigator.clipboard.writeText(area.value); } catch { document.execCommand("copy"); }
  ballot.kept = true;
  $("vote-copy").textContent = "Copied";
};

const voteKeys = (event) => {
  if ($("vote-ask").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  const choice = { ArrowLeft: "left", 1: "left", ArrowRight: "right", 2: "right", ArrowDown: "tie", t: "tie", "=": "tie", s: "skip" }[event.key];
  if (choice) cast(choice);
  else if (event.key === "u" && ballot.votes.length) { ballot.votes.pop(); ask(); }
  else return;
  event.preventDefault();
};

if ($("vote")) {
  $("open-vote").addEventListener("click", openVote);
  for (const id of ["vote-old", "vote-new"]) $(id).addEventListener("change", tellSetup);
  $("vote-start").addEventListener("click", startVote);
  $("vote-undo").addEventListener("click", () => { ballot.votes.pop(); ask(); });
  $("vote-end").addEventListener("click", endVote);
  $("vote-download").addEventListener("click", download);
  $("vote-copy").addEventListener("click", copy);
  for (const button of document.querySelectorAll("[data-vote]")) button.addEventListener("click", () => cast(button.dataset.vote));
  for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => $("vote").close());
  $("vote").addEventListener("keydown", voteKeys);
  addEventListener("beforeunload", (event) => { if (!ballot.kept && ballot.votes.length) event.preventDefault(); });
}
start();
