"use strict";
// What changes while a page is looked at: texts by textContent, rows by cloning what the page brought. Never HTML.
(() => {
  const body = document.body;
  const root = document.documentElement;

  // Theme

  const remembered = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const remember = (name, value) => { try { localStorage.setItem(name, value); } catch { /* not allowed: for this page alone */ } };
  const theme = remembered("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const toggleTheme = () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    remember("theme", root.dataset.theme);
    dispatchEvent(new Event("theme"));
  };
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.hidden = false;
    button.addEventListener("click", toggleTheme);
  }

  // Copying commands

  const copy = async (button) => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.parentElement.querySelector("code"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    const text = button.textContent;
    button.textContent = body.dataset.copied;
    setTimeout(() => { button.textContent = text; }, 1500);
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }

  // Moments: in their two largest units, as glmd's own messages have them.

  const UNITS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  const duration = (seconds) => {
    const parts = [];
    let left = Math.max(0, Math.round(seconds));
    for (const [unit, size] of UNITS) {
      const count = Math.floor(left / size);
      left -= count * size;
      if (count || parts.length) parts.push(`${count}${unit}`);
    }
    return parts.slice(0, 2).filter((part) => !part.startsWith("0")).join("") || "0s";
  };
  const tellTime = (element) => {
    const at = Date.parse(element.dateTime);
    if (Number.isNaN(at)) return;
    element.textContent = body.dataset[element.dataset.since].replace("{time}", duration((Date.now() - at) / 1000));
    element.title = new Date(at).toLocaleString(root.lang);
  };
  const tellTimes = () => { for (const element of document.querySelectorAll("time[data-since]")) tellTime(element); };
  tellTimes();
  setInterval(tellTimes, 10000);

  // What has changed

  const fill = (place, cells) => {
    for (const element of place.querySelectorAll("[data-cell]")) {
      const text = cells[element.dataset.cell] ?? "";
      if (element.dateTime !== undefined) {
        if (element.dateTime !== text) element.dateTime = text;
        tellTime(element);
      } else if (element.textContent !== text) {
        element.textContent = text;
      }
    }
    for (const element of place.querySelectorAll("[data-cell-value]")) {
      const text = cells[element.dataset.cellValue];
      if (text !== undefined) element.value = Number(text);
    }
  };
  const fillRow = (element, row) => {
    element.dataset.state = row.state;
    for (const link of element.querySelectorAll("[data-href]")) link.setAttribute("href", row.href);
    fill(element, row.cells);
  };
  const fillList = (list, rows) => {
    const pattern = document.querySelector(`template[data-of="${list.dataset.list}"]`);
    const there = new Map([...list.children].map((element) => [element.dataset.key, element]));
    rows.forEach((row, place) => {
      let element = there.get(row.key);
      if (element === undefined) {
        element = document.importNode(pattern.content, true).firstElementChild;
        element.dataset.key = row.key;
        element.classList.add("fresh");
      }
      there.delete(row.key);
      fillRow(element, row);
      if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
    });
    for (const element of there.values()) element.remove();
  };
  let heard = Date.now();
  const bar = document.getElementById("bar");
  const show = (news) => {
    heard = Date.now();
    if (news.trouble !== undefined) {
      warn(news.trouble);
      return;
    }
    body.dataset.revision ||= news.revision;
    if (news.revision !== body.dataset.revision) {
      location.reload();
      return;
    }
    warn("");
    const lists = new Set(document.querySelectorAll("[data-list]"));
    for (const list of lists) if (news.lists[list.dataset.list]) fillList(list, news.lists[list.dataset.list]);
    const cells = [...document.querySelectorAll("main [data-cell], main [data-cell-value]")].filter((element) => !element.closest("[data-list]"));
    for (const element of cells) fill({ querySelectorAll: (asked) => (element.matches(asked) ? [element] : []) }, { ...own(element), ...news.cells });
    dispatchEvent(new CustomEvent("news", { detail: news }));
  };
  const own = (element) => ({ [element.dataset.cell]: element.dateTime ?? element.textContent });
  let warned = "";
  const warn = (text) => {
    if (text === warned) return;
    warned = text;
    if (text) {
      bar.textContent = `▲ ${text}`;
      bar.hidden = false;
    } else if (!bar.dataset.down) {
      bar.hidden = true;
    }
    document.getElementById("main").classList.toggle("stale", Boolean(text));
  };
  if (!bar.hidden) bar.dataset.down = "1";

  let stream = null;
  let polling = null;
  // Too many look, or a proxy answers for a page that is gone: it is asked now and then, and loaded once it is there.
  const askLater = () => {
    polling ??= setTimeout(async () => {
      polling = null;
      const answer = await fetch(location.href, { method: "HEAD" }).catch(() => null);
      if (answer?.ok) {
        location.reload();
      } else {
        warn(body.dataset.stale);
        askLater();
      }
    }, 5000);
  };
  const open = () => {
    if (!body.dataset.live || stream !== null || document.hidden) return;
    stream = new EventSource(body.dataset.live);
    stream.onmessage = (event) => show(JSON.parse(event.data));
    stream.addEventListener("ping", () => {
      heard = Date.now();
      if (warned === body.dataset.stale) warn("");
    });
    stream.onerror = () => {
      if (stream !== null && stream.readyState === EventSource.CLOSED) {
        stream = null;
        askLater();
      }
    };
  };
  const close = () => { stream?.close(); stream = null; };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
  setInterval(() => { if (stream !== null && Date.now() - heard > 20000) warn(body.dataset.stale); }, 2000);

  // Keys

  const off = document.querySelector("[data-keys-off]");
  if (off) {
    off.checked = remembered("keys") === "off";
    off.addEventListener("change", () => remember("keys", off.checked ? "off" : "on"));
  }
  const go = (tab) => document.querySelector(`[data-tab="${tab}"]`)?.click();
  const rows = () => [...document.querySelectorAll(".rows .name, [data-row] a")];
  const move = (by) => {
    const all = rows();
    if (!all.length) return;
    const place = all.indexOf(document.activeElement);
    all[Math.min(all.length - 1, Math.max(0, place < 0 ? 0 : place + by))].focus();
  };
  let before = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || remembered("keys") === "off") return;
    if (event.target.closest("input, textarea, select, [contenteditable], .chart")) return;
    const typed = before + event.key;
    before = event.key === "g" ? "g" : "";
    const actions = {
      gn: () => go("now"), gm: () => go("night"), gj: () => go("jobs"), gd: () => go("devices"),
      j: () => move(1), k: () => move(-1), t: toggleTheme,
      x: () => document.activeElement.closest("li")?.querySelector('input[type="checkbox"]')?.click(),
      l: () => document.querySelector('a[href*="/log"]')?.click(),
      c: () => document.querySelector("[data-copy]")?.click(),
      "/": () => document.querySelector('input[type="search"]')?.focus(),
      "?": () => document.querySelector('a[href*="/help"]')?.click(),
    };
    const action = actions[typed];
    if (action) { event.preventDefault(); action(); }
  });
})();
