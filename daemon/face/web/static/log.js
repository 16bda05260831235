"use strict";
// Follows a log: the stream says how long it is, and what is new is asked for by bytes. Never HTML.
(() => {
  const MOST_LINES = 2000;
  const MOST_BEHIND = 1 << 19;
  const list = document.querySelector("[data-log]");
  const choice = document.querySelector("[data-follow]");
  if (!list || !choice) return;
  const pattern = document.querySelector('template[data-of="log"]').content.firstElementChild;
  const box = choice.querySelector("input");
  choice.hidden = false;
  let next = Number(list.dataset.next);
  let size = next;
  let busy = false;

  const rowOf = (at) => {
    const last = list.lastElementChild;
    if (last?.id === `b${at}`) return last; // it was not written to its end before
    const row = document.importNode(pattern, true);
    row.id = `b${at}`;
    const link = row.querySelector("a");
    link.textContent = String(at);
    link.setAttribute("href", `${list.dataset.here}${at}#b${at}`);
    list.append(row);
    return row;
  };
  const tell = (text) => {
    const row = document.createElement("li");
    row.className = "quiet";
    row.textContent = text;
    list.append(row);
  };
  const append = (lines) => {
    const atEnd = innerHeight + scrollY > document.documentElement.scrollHeight - 120;
    for (const line of lines) rowOf(line.at).querySelector("code").textContent = line.text;
    while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
    if (atEnd) scrollTo(0, document.documentElement.scrollHeight);
  };
  const load = async () => {
    if (busy || !box.checked) return;
    busy = true;
    try {
      while (box.checked && size > next) {
        if (size - next > MOST_BEHIND) {
          next = size - MOST_BEHIND;
          tell(list.dataset.leftOut);
        }
        const answer = await fetch(`${list.dataset.log}${list.dataset.log.includes("?") ? "&" : "?"}at=${next}`);
        if (!answer.ok) return;
        const piece = await answer.json();
        append(piece.lines);
        const isDone = piece.next <= next || piece.end >= piece.size;
        next = piece.next;
        if (isDone) {
          size = next;
          return;
        }
      }
    } catch {
      // The page's own bar says that nothing is heard.
    } finally {
      busy = false;
    }
  };
  addEventListener("news", ({ detail }) => {
    const bytes = Number(detail.cells?.bytes);
    if (bytes > 0 && bytes !== size) {
      size = bytes;
      load();
    }
  });
  box.addEventListener("change", load);
})();
