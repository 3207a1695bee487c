"use strict";
// The page itself: light or dark, values under the pointer, links into folded parts, and everything unfolded on paper.
(() => {
  const root = document.documentElement, button = document.getElementById("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; };
  const kept = (() => { try { return localStorage.getItem("align-theme"); } catch { return null; } })();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  name();
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("align-theme", root.dataset.theme); } catch { /* a page from disk may not keep anything */ }
    name();
  });

  const unfold = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", unfold);
  unfold();
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const part of folded) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of folded) part.open = false; });

  for (const box of document.querySelectorAll(".box")) {
    const near = [...document.querySelectorAll(".edge")].filter((e) => [e.dataset.from, e.dataset.to].includes(box.dataset.step));
    box.addEventListener("pointerenter", () => near.forEach((e) => e.classList.add("near")));
    box.addEventListener("pointerleave", () => near.forEach((e) => e.classList.remove("near")));
  }

  const svg = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const nearest = (values, step) => values.reduce((best, v) => (Math.abs(v[0] - step) < Math.abs(best[0] - step) ? v : best));
  const read = (chart, event) => {
    chart.querySelectorAll(".cursor, .reading").forEach((e) => e.remove());
    if (!event) return;
    const series = JSON.parse(chart.dataset.series), left = +chart.dataset.left, right = +chart.dataset.right;
    const steps = series.flat().map((v) => v[0]), low = Math.min(...steps), high = Math.max(...steps);
    const area = chart.getBoundingClientRect(), x = (event.clientX - area.left) * chart.viewBox.baseVal.width / area.width;
    const wanted = low + (high - low) * Math.min(1, Math.max(0, (x - left) / (right - left)));
    const found = series.map((values) => nearest(values, wanted));
    const step = nearest(found, wanted)[0], at = left + (right - left) * (step - low) / ((high - low) || 1);
    const late = at > (left + right) / 2;
    const text = svg("text", { class: "reading", x: at + (late ? -5 : 5), y: 16, "text-anchor": late ? "end" : "start" });
    text.textContent = `step ${step}: ${found.map((v) => Number(v[1].toPrecision(4))).join(" / ")}`;
    chart.append(svg("path", { class: "cursor", d: `M${at} 8V${chart.viewBox.baseVal.height - 20}` }), text);
  };
  for (const chart of document.querySelectorAll("svg[data-series]")) {
    chart.addEventListener("pointermove", (event) => read(chart, event));
    chart.addEventListener("pointerleave", () => read(chart, null));
  }
})();
