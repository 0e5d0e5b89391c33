// The pages work without this: it brings live updates, local times and small comforts.

// Times come in UTC and are shown by the reader's clock. A tap on a time changes all of them.
const IN_UTC = "posstream-times-in-utc";
let inUtc = localStorage.getItem(IN_UTC) !== null;
const padded = (number, digits = 2) => String(number).padStart(digits, "0");

function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.valueOf())) continue;
    const utc = (time.dataset.utc ??= time.textContent);
    const local = atLocal(moment, utc);
    time.textContent = inUtc ? utc : local;
    time.title = inUtc ? `${local} here` : `${utc} UTC`;
  }
}

// As `utc` is written: with or without a date and milliseconds.
function atLocal(at, utc) {
  const date = [at.getFullYear(), padded(at.getMonth() + 1), padded(at.getDate())].join("-");
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map((it) => padded(it)).join(":");
  const rest = utc.includes(".") ? `.${padded(at.getMilliseconds(), 3)}` : "";
  return (utc.includes("-") ? `${date} ` : "") + clock + rest;
}

const zone = document.querySelector("[data-zone]");
const zoneButton = document.querySelector("[data-zone-button]");

function changeZone() {
  inUtc = !inUtc;
  if (inUtc) localStorage.setItem(IN_UTC, "");
  else localStorage.removeItem(IN_UTC);
  tellZone();
}

function tellZone() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  zone.textContent = inUtc ? "UTC" : `those of this device, ${name}`;
  zoneButton.textContent = inUtc ? "Show local times" : "Show UTC";
  zoneButton.hidden = false;
  showTimes(document);
  for (const picker of pickers) pickIn(picker);
}

// Pickers of filters have the reader's own time, too; the server gets UTC.
const pickers = document.querySelectorAll("input[data-picker]");
for (const picker of pickers) {
  picker.dataset.inUtc = "";
  picker.form.addEventListener("formdata", ({ formData }) => {
    if (picker.value) formData.set(picker.name, inPicker(picked(picker), true));
  });
}

// The time in a picker, which has no zone of its own.
function picked(picker) {
  return new Date("inUtc" in picker.dataset ? `${picker.value}Z` : picker.value);
}

function inPicker(moment, asUtc) {
  const utc = moment.toISOString().slice(0, 19);
  return asUtc ? utc : atLocal(moment, utc.replace("T", " ")).replace(" ", "T");
}

function pickIn(picker) {
  if (picker.value) picker.value = inPicker(picked(picker), inUtc);
  if (inUtc) picker.dataset.inUtc = "";
  else delete picker.dataset.inUtc;
  for (const word of picker.labels[0].querySelectorAll("[data-picked-in]")) {
    word.textContent = inUtc ? "(UTC)" : "";
  }
}

tellZone();
// Other scripts say so when they have written times.
document.addEventListener("posstream:times", (event) => showTimes(event.target));
zoneButton.addEventListener("click", changeZone);
document.addEventListener("click", (event) => {
  if (event.target.closest("time[datetime]")) changeZone();
});

// On a phone a filter is folded, unless something in it is wrong.
const narrow = window.matchMedia("(max-width: 40rem)");
for (const filter of document.querySelectorAll("details.fold")) {
  const fold = () => {
    filter.open = !narrow.matches || filter.querySelector("[aria-invalid]") !== null;
  };
  narrow.addEventListener("change", fold);
  fold();
}

for (const button of document.querySelectorAll("button[data-confirm]")) {
  button.addEventListener("click", (event) => {
    if (!window.confirm(button.dataset.confirm)) event.preventDefault();
  });
}

// Live pages: the server renders parts again, and they take the place of what was.
for (const place of document.querySelectorAll("[data-live]")) followLive(place);

function followLive(place) {
  const state = place.querySelector("[data-live-state]");
  const button = place.querySelector("[data-live-pause]");
  let source = null;
  let paused = false;

  const say = (text, kind) => {
    state.textContent = text;
    state.className = `tag ${kind}`;
    state.hidden = false;
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    if (source !== null || paused || document.hidden) return;
    source = new EventSource(place.dataset.live);
    source.onopen = () => say("live", "good");
    source.onerror = () => {
      // A browser connects again by itself unless it was refused.
      const refused = source.readyState === EventSource.CLOSED;
      say(refused ? "not live: reload" : "connecting again", "warn");
      if (refused) source = null;
    };
    source.addEventListener("part", (event) => {
      const { id, html } = JSON.parse(event.data);
      const part = document.getElementById(id);
      // A part is not replaced while something in it has the focus, but for a chart.
      const focused = document.activeElement;
      if (part === null) return;
      if (part !== focused && part.contains(focused) && !focused.closest("[data-chart]")) return;
      part.innerHTML = html;
      showTimes(part);
      part.dispatchEvent(new CustomEvent("posstream:replaced", { bubbles: true }));
    });
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    if (paused) {
      close();
      say("paused", "");
    } else {
      open();
    }
  });
  // A hidden page closes its stream: a browser has few connections for each host.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  place.querySelector("[data-live-reload]").hidden = true;
  open();
}

// A page of something that is not there yet, or not now, is opened again once it can be.
for (const place of document.querySelectorAll("[data-retry-while]")) openAgain(place.dataset);

async function openAgain({ retryWhile, retryEvery, retryTimes = Infinity }) {
  for (let tries = 0; tries < retryTimes; tries++) {
    await new Promise((resolve) => setTimeout(resolve, retryEvery));
    if (document.hidden) continue;
    const answer = await fetch(window.location.href).catch(() => null);
    if (answer !== null && answer.status !== Number(retryWhile)) {
      window.location.reload();
      return;
    }
  }
}

// A page that waits for something is shown anew once the read model has some of it.
const waitsIn = (shown) => shown.querySelectorAll("[data-answer-of], [data-look-again]").length;

async function look() {
  const answer = await fetch(window.location.href).catch(() => null);
  if (!answer?.ok) return false;
  const shown = new DOMParser().parseFromString(await answer.text(), "text/html");
  const left = waitsIn(shown);
  if (left >= waitsIn(document)) return false;
  window.location.replace(left ? window.location.href : window.location.pathname);
  return true;
}

// The read model is some hundred milliseconds behind the topics.
async function lookUntil(tries) {
  while (tries-- > 0 && !(await look())) {
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

if (document.querySelector("[data-look-again]")) lookUntil(120);
for (const place of document.querySelectorAll("[data-answer-of]")) awaitAnswer(place);

function awaitAnswer(place) {
  const state = place.querySelector("[data-answer-state]");
  const say = (text, kind) => {
    state.textContent = text;
    state.className = `tag ${kind}`;
    state.hidden = false;
  };
  const asked = new URLSearchParams({
    query: "subscription ($basket: ID) { customerAnswered(basketId: $basket) { source reason } }",
    variables: JSON.stringify({ basket: place.dataset.answerOf }),
  });
  const source = new EventSource(`/graphql/?${asked}`);

  // It may have been answered before the stream stood.
  source.onopen = () => {
    say("watching", "");
    lookUntil(8);
  };
  source.addEventListener("next", (event) => {
    const answer = JSON.parse(event.data).data?.customerAnswered;
    if (answer === undefined) return;
    say(answer.reason ?? answer.source, answer.reason === null ? "good" : "bad");
    lookUntil(40);
  });
  source.addEventListener("complete", () => source.close());
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) say("not live: look again", "warn");
  };
}

// Links that fill a field in. Without script they open the page with the field filled in.
for (const link of document.querySelectorAll("a[data-fill]")) {
  link.addEventListener("click", (event) => {
    const field = document.getElementById(link.dataset.fill);
    event.preventDefault();
    field.value = link.dataset.value;
    field.focus();
  });
}

// On a phone the navigation is longer than the screen.
document
  .querySelector(".top nav a[aria-current]")
  ?.scrollIntoView({ block: "nearest", inline: "nearest" });
