// The pages work without this: it brings live updates, local times and small comforts.

for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (!Number.isNaN(moment.valueOf())) time.title = moment.toLocaleString();
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
      // A part is not replaced while something in it has the focus.
      const focused = document.activeElement;
      if (part === null || (part !== focused && part.contains(focused))) return;
      part.innerHTML = html;
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
