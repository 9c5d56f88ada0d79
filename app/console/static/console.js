"use strict";
// Follows a run that is under way: the page is fetched again, and its content put in place of the old one.
const PAUSE_MS = 1500;

async function follow() {
  const main = document.querySelector("main[data-live]");
  if (!main) return;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      if (fresh && fresh.innerHTML !== main.innerHTML) main.replaceWith(document.adoptNode(fresh));
    }
  } catch (error) {
    console.info("The console can't be reached at the moment.", error);
  }
  setTimeout(follow, PAUSE_MS);
}

setTimeout(follow, PAUSE_MS);
