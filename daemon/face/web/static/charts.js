"use strict";
// Curves of a training: zoom stays while points come, and is in the address.
(() => {
  const SERIES = ["loss", "lr", "ms", "norm", "samples", "scale"];
  const WHOLE = [...Array(15).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(5)).toString());

  const smoothed = (values, weight) => {
    if (!weight) return values;
    let last = null;
    return values.map((value) => {
      if (value === null) return null;
      last = last === null ? value : last * weight + value * (1 - weight);
      return last;
    });
  };

  class Chart {
    constructor(place) {
      this.place = place;
      this.address = place.dataset.chart;
      const kept = new URLSearchParams(location.hash.slice(1));
      this.shown = SERIES.includes(kept.get("y")) ? kept.get("y") : "loss";
      this.zoom = kept.has("from") && kept.has("to") ? [Number(kept.get("from")), Number(kept.get("to"))] : null;
      this.weight = 0;
      this.logarithmic = false;
      this.plot = null;
      this.data = null;
      this.choices();
      this.reading = document.createElement("p");
      this.reading.className = "quiet";
      this.reading.setAttribute("aria-live", "polite");
      this.reading.textContent = place.dataset.labelNone;
      this.box = document.createElement("div");
      this.box.tabIndex = 0;
      this.box.setAttribute("role", "img");
      this.box.setAttribute("aria-label", place.dataset.labelLoss);
      this.box.addEventListener("keydown", (event) => this.walk(event));
      place.append(this.box, this.reading);
      new ResizeObserver(() => this.resize()).observe(place);
      addEventListener("theme", () => this.draw(true));
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(true));
      this.load();
    }

    label(name) { return this.place.dataset[`label${name[0].toUpperCase()}${name.slice(1)}`] ?? name; }

    choices() {
      const row = document.createElement("div");
      row.className = "choices";
      const select = document.createElement("select");
      select.setAttribute("aria-label", "y");
      for (const name of SERIES) {
        const option = document.createElement("option");
        option.value = name;
        option.textContent = this.label(name);
        option.selected = name === this.shown;
        select.append(option);
      }
      select.addEventListener("change", () => { this.shown = select.value; this.keep(); this.draw(true); });
      const check = (name, change) => {
        const label = document.createElement("label");
        const box = document.createElement("input");
        box.type = "checkbox";
        box.addEventListener("change", () => { change(box.checked); this.draw(true); });
        label.append(box, ` ${this.label(name)}`);
        return label;
      };
      const all = document.createElement("button");
      all.type = "button";
      all.textContent = this.label("all");
      all.addEventListener("click", () => { this.zoom = null; this.keep(); this.draw(true); });
      row.append(select, check("smooth", (on) => { this.weight = on ? 0.8 : 0; }), check("log", (on) => { this.logarithmic = on; }), all);
      this.place.append(row);
    }

    async load() {
      let answer;
      try {
        answer = await fetch(this.address, { headers: { Accept: "application/json" } });
        if (!answer.ok) return;
        this.data = await answer.json();
      } catch {
        return; // the page's own bar says that nobody answers
      }
      this.draw(false);
      if (!this.data.whole) setTimeout(() => this.load(), 200); // a long record, which is still being read
    }

    series() {
      const { step } = this.data;
      const values = smoothed(this.data[this.shown], this.shown === "loss" ? this.weight : 0);
      return [step, values, this.shown === "loss" ? this.data.vain : step.map(() => null)];
    }

    draw(anew) {
      if (this.data === null || !this.data.step.length) return;
      const [first, last] = [this.data.step[0], this.data.step.at(-1)];
      if (this.plot !== null && !anew) {
        this.plot.setData(this.series(), false);
        const [from, to] = this.zoom ?? [first, last];
        this.plot.setScale("x", { min: from, max: to });
        this.say(this.plot.cursor.idx);
        return;
      }
      this.plot?.destroy();
      const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
      const [from, to] = this.zoom ?? [first, last];
      this.plot = new uPlot({
        width: this.place.clientWidth, height: 260,
        legend: { show: false },
        cursor: { drag: { x: true, y: false } },
        scales: { x: { time: false, min: from, max: to, range: (_, low, high) => [low, high === low ? low + 1 : high] }, y: { distr: this.logarithmic ? 3 : 1 } },
        axes: [{ ...axis, incrs: WHOLE }, { ...axis, size: 64 }],
        series: [
          {},
          { stroke: colour("--busy"), width: 2, spanGaps: true, points: { show: this.data.step.length < 3 } },
          { stroke: colour("--quiet"), width: 1, dash: [4, 4], spanGaps: true },
        ],
        hooks: {
          setCursor: [(plot) => this.say(plot.cursor.idx)],
          setSelect: [(plot) => {
            if (plot.select.width < 3) return;
            this.zoom = [plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")];
            this.keep();
          }],
        },
      }, this.series(), this.box);
      this.say(null);
      this.plot.over.addEventListener("dblclick", () => { this.zoom = null; this.keep(); this.draw(false); });
    }

    // What is pointed at; where nothing is, the last step.
    say(pointed) {
      const place = pointed ?? this.data.step.length - 1;
      const value = this.data[this.shown][place] ?? this.data.vain[place];
      this.reading.textContent = `${this.label("step")} ${this.data.step[place]}: ${this.label(this.shown)} ${number(value)}`;
    }

    walk(event) {
      if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key) || this.plot === null) return;
      event.preventDefault();
      const last = this.data.step.length - 1;
      const place = this.plot.cursor.idx ?? last;
      const next = { ArrowLeft: Math.max(0, place - 1), ArrowRight: Math.min(last, place + 1), Home: 0, End: last }[event.key];
      this.plot.setCursor({ left: this.plot.valToPos(this.data.step[next], "x"), top: 10 });
    }

    keep() {
      const kept = new URLSearchParams();
      if (this.shown !== "loss") kept.set("y", this.shown);
      if (this.zoom) { kept.set("from", this.zoom[0].toFixed(1)); kept.set("to", this.zoom[1].toFixed(1)); }
      history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname + location.search);
    }

    resize() { if (this.plot !== null && this.place.clientWidth) this.plot.setSize({ width: this.place.clientWidth, height: 260 }); }
  }

  const charts = [...document.querySelectorAll("[data-chart]")].map((place) => new Chart(place));
  addEventListener("news", () => { for (const chart of charts) chart.load(); });
})();
