// Keeps a page up to date without moving anything under the reader's hands. Everything works without this file.
"use strict";

const main = document.querySelector("main[data-refresh]");
if (main) keepFresh(main, Number(main.dataset.refresh) * 1000);

function keepFresh(main, pause) {
  const button = document.createElement("button");
  const said = document.createElement("span");
  const box = document.createElement("p");
  box.className = "live";
  said.setAttribute("role", "status");
  button.type = "button";
  box.append(button, said);
  document.querySelector("header.top .hands").prepend(box);

  // Who wants little motion starts with a page that stands still.
  let isOn = remembered() ?? !matchMedia("(prefers-reduced-motion: reduce)").matches;
  label();
  button.addEventListener("click", () => {
    isOn = !isOn;
    try { sessionStorage.setItem("live", isOn); } catch { /* not allowed to keep anything */ }
    label();
    if (isOn) look();
  });
  let isLooking = false;
  setInterval(() => { if (isOn && !document.hidden) look(); }, pause);
  // Whoever comes back to the page sees it as it is now.
  document.addEventListener("visibilitychange", () => { if (isOn && !document.hidden) look(); });

  function label() {
    button.textContent = isOn ? "Pause updates" : "Resume updates";
    if (!isOn) say("");
  }

  function say(text) {
    if (said.textContent !== text) said.textContent = text;
  }

  // One at a time: on a slow way answers must not overtake each other.
  async function look() {
    if (isLooking) return;
    isLooking = true;
    try {
      const options = { headers: { accept: "text/html" }, cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(4 * pause) };
      const answer = await fetch(location.href, options);
      if (answer.type === "opaqueredirect") return say("Not up to date: the session is over. Load the page to log in again.");
      if (answer.status === 503) return say("Not up to date: the database does not answer. Trying again.");
      if (!answer.ok) throw new Error(answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      if (!isOn || !fresh || isBusy()) return;
      keepPlace(() => become(main, fresh));
      say("");
    } catch {
      say("Not up to date: the worker does not answer. Trying again.");
    } finally {
      isLooking = false;
    }
  }

  // Somebody fills in a form or marks text.
  function isBusy() {
    const at = document.activeElement;
    const fills = main.contains(at) && at.matches("input, select, textarea");
    const selection = getSelection();
    return fills || (!selection.isCollapsed && main.contains(selection.anchorNode));
  }

  // The focus stays on the link it was on, wherever that is now.
  function keepPlace(change) {
    const at = main.contains(document.activeElement) && document.activeElement !== main ? document.activeElement : null;
    const href = at?.getAttribute("href") ?? null;
    change();
    if (!at || (at.isConnected && at.getAttribute("href") === href)) return;
    const same = href && main.querySelector(`a[href="${CSS.escape(href)}"]`);
    // What is gone leaves its reader at the content, not at the top of everything.
    (same || main).focus({ preventScroll: true });
  }
}

function remembered() {
  try {
    const kept = sessionStorage.getItem("live");
    return kept === null ? null : kept === "true";
  } catch { return null; }
}

// Makes one node like another in place, so that focus, scrolling and what was opened stay.
function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(document.importNode(fresh, true));
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
  }
  const [was, is] = [[...old.childNodes], [...fresh.childNodes]];
  was.slice(is.length).forEach((node) => node.remove());
  is.forEach((node, at) => was[at] ? become(was[at], node) : old.append(document.importNode(node, true)));
}
