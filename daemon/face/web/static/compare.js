"use strict";
// The curves of several trainings on one scale.
(() => {
  const COLOURS = 6;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const place = document.querySelector("[data-compare]");
  const rows = [...document.querySelectorAll(".series [data-steps]")];
  const number = (value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(5)).toString());
  const tag = (name, text) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  let data = null;
  let plot = null;
  let zoom = null;
  let logarithmic = false;
  const reading = tag("p");
  reading.className = "quiet";
  reading.setAttribute("aria-live", "polite");
  const box = tag("div");
  box.tabIndex = 0;
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", place.dataset.label);

  const drawn = []; // the places of the jobs that have steps
  const say = (at) => {
    if (at === null || at === undefined || data === null) return;
    const values = drawn.map((row, index) => `${rows[row].dataset.label.split(" ")[0]} ${number(data[index + 1][at])}`);
    reading.textContent = `${place.dataset.step} ${data[0][at]}: ${values.join(", ")}`;
  };
  const draw = () => {
    if (data === null || !data[0].length) return;
    plot?.destroy();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    const [from, to] = zoom ?? [data[0][0], data[0].at(-1)];
    plot = new uPlot({
      width: place.clientWidth, height: 320,
      legend: { show: false },
      cursor: { drag: { x: true, y: false } },
      scales: { x: { time: false, min: from, max: to, range: (_, low, high) => [low, high === low ? low + 1 : high] }, y: { distr: logarithmic ? 3 : 1 } },
      axes: [axis, { ...axis, size: 64 }],
      series: [{}, ...drawn.map((row) => ({
        stroke: colour(`--s${row % COLOURS}`), width: 2, dash: row < COLOURS ? [] : [6, 4], spanGaps: true, points: { show: false },
      }))],
      hooks: {
        setCursor: [(chart) => say(chart.cursor.idx)],
        setSelect: [(chart) => {
          if (chart.select.width < 3) return;
          zoom = [chart.posToVal(chart.select.left, "x"), chart.posToVal(chart.select.left + chart.select.width, "x")];
        }],
      },
    }, data, box);
    plot.over.addEventListener("dblclick", () => { zoom = null; draw(); });
  };
  const walk = (event) => {
    if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key) || plot === null) return;
    event.preventDefault();
    const last = data[0].length - 1;
    const at = plot.cursor.idx ?? last;
    const next = { ArrowLeft: Math.max(0, at - 1), ArrowRight: Math.min(last, at + 1), Home: 0, End: last }[event.key];
    plot.setCursor({ left: plot.valToPos(data[0][next], "x"), top: 10 });
  };
  const load = async () => {
    // One after the other: a service that serves all of a host's pages is not asked for twelve at once.
    const tables = [];
    for (const [index, row] of rows.entries()) {
      try {
        const answer = await fetch(row.dataset.steps, { headers: { Accept: "application/json" } });
        const steps = answer.ok ? await answer.json() : { step: [] };
        if (!steps.step.length) continue;
        tables.push([steps.step, steps.loss]);
        drawn.push(index);
      } catch {
        return; // the page's own bar says that nobody answers
      }
    }
    if (!tables.length) return;
    data = uPlot.join(tables);
    draw();
    say(data[0].length - 1);
  };

  const choices = tag("div");
  choices.className = "choices";
  const label = tag("label");
  const check = tag("input");
  check.type = "checkbox";
  check.addEventListener("change", () => { logarithmic = check.checked; draw(); });
  label.append(check, ` ${place.dataset.log}`);
  const all = tag("button", place.dataset.all);
  all.type = "button";
  all.addEventListener("click", () => { zoom = null; draw(); });
  choices.append(label, all);
  box.addEventListener("keydown", walk);
  place.append(choices, box, reading);
  new ResizeObserver(() => { if (plot !== null && place.clientWidth) plot.setSize({ width: place.clientWidth, height: 320 }); }).observe(place);
  addEventListener("theme", draw);
  load();
})();
