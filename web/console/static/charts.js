// What a chart says at a moment: under the mouse, under a finger, or by the arrow keys.

// The chart that says something now, and at which place; it outlives a new drawing of the chart.
let shown = null;

function partsOf(chart) {
  return {
    range: chart.querySelector("input"),
    cursor: chart.querySelector(".cursor"),
    output: chart.querySelector("output"),
  };
}

function show(chart, place) {
  const { range, cursor, output } = partsOf(chart);
  const said = chart.dataset.said.split("|");
  const last = Number(range.max);
  // Fewer points than places begin further right.
  const index = Math.max(place - (last + 1 - said.length), 0);
  const at = last - (said.length - 1) + index;
  const moment = new Date(Date.parse(chart.dataset.begins) + at * Number(chart.dataset.step));
  const time = document.createElement("time");
  time.dateTime = moment.toISOString();
  time.textContent = time.dateTime.slice(11, 19);
  output.replaceChildren(time, ` ${said[index]}`);
  output.hidden = cursor.hidden = false;
  cursor.style.left = `${(100 * at) / last}%`;
  output.dispatchEvent(new CustomEvent("posstream:times", { bubbles: true }));
  range.value = at;
  range.setAttribute("aria-valuetext", output.textContent);
  if (shown !== null && shown.name !== chart.dataset.chart) hide();
  shown = { name: chart.dataset.chart, place: at, focused: document.activeElement === range };
}

function hide() {
  const chart = document.querySelector(`[data-chart="${shown?.name}"]`);
  shown = null;
  if (chart === null) return;
  const { cursor, output } = partsOf(chart);
  output.hidden = cursor.hidden = true;
}

function follow(root) {
  for (const chart of root.querySelectorAll("[data-chart]")) {
    const { range } = partsOf(chart);
    if (chart.dataset.said === "") continue;
    range.hidden = false;
    const point = (event) => {
      const { left, width } = range.getBoundingClientRect();
      const share = Math.min(Math.max((event.clientX - left) / width, 0), 1);
      show(chart, Math.round(share * Number(range.max)));
    };
    range.addEventListener("pointermove", point);
    range.addEventListener("pointerdown", point);
    range.addEventListener("input", () => show(chart, Number(range.value)));
    range.addEventListener("focus", () => show(chart, Number(range.value)));
    // A chart that is drawn anew loses the focus, too, and gets it back.
    range.addEventListener("blur", () => queueMicrotask(() => range.isConnected && hide()));
    // A finger is lifted to read what it has found.
    range.addEventListener("pointerleave", ({ pointerType }) => {
      if (pointerType === "mouse" && document.activeElement !== range) hide();
    });
    if (shown?.name === chart.dataset.chart) {
      const { focused, place } = shown;
      if (focused) range.focus({ preventScroll: true });
      show(chart, place);
    }
  }
}

follow(document);
document.addEventListener("pointerdown", (event) => {
  if (event.target.closest("[data-chart]") === null) hide();
});
document.addEventListener("posstream:replaced", (event) => follow(event.target));
