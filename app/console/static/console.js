"use strict";
// Follows a run that is under way: the page is fetched again, and its content put in place of the old one.
const PAUSE_MS = 1500;

// Whoever reads it stays where they are: tables keep their scroll, and the keyboard its place.
function replace(main, fresh) {
  const scrolled = new Map();
  for (const one of main.querySelectorAll(".scroll")) {
    scrolled.set(one.getAttribute("aria-label"), [one.scrollLeft, one.scrollTop]);
  }
  const focused = document.activeElement;
  const name = main.contains(focused) ? focused.getAttribute("href") || focused.getAttribute("aria-label") : null;
  main.replaceWith(document.adoptNode(fresh));
  for (const one of fresh.querySelectorAll(".scroll")) {
    [one.scrollLeft, one.scrollTop] = scrolled.get(one.getAttribute("aria-label")) || [0, 0];
  }
  for (const one of name === null ? [] : fresh.querySelectorAll("a[href], [aria-label][tabindex]")) {
    if (name === (one.getAttribute("href") || one.getAttribute("aria-label"))) {
      one.focus({ preventScroll: true });
      break;
    }
  }
}

async function follow() {
  const main = document.querySelector("main[data-live]");
  if (!main) return;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      if (fresh && fresh.innerHTML !== main.innerHTML) replace(main, fresh);
    }
  } catch (error) {
    console.info("The console can't be reached at the moment.", error);
  }
  setTimeout(follow, PAUSE_MS);
}

setTimeout(follow, PAUSE_MS);
