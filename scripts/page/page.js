// The page without this is complete but for sorting, filters and interactive charts.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const COLORS = [0, 1, 2, 3, 4, 5, 6].map((place) => `var(--c${place})`);
const NARROW = 720; // CSS pixels; below, panels lie one under the other

// ---------- words and numbers

const plain = (name) => name.replaceAll("_", " ");
const percent = (share, digits = 0) => (share == null ? "unknown" : `${(100 * share).toFixed(digits)} %`);
const number = (value) => (value == null ? "∞" : Number(value.toPrecision(3)).toLocaleString("en"));

function bytes(value) {
  return `${value.toLocaleString("en")} ${value === 1 ? "byte" : "bytes"}`;
}

function duration(milliseconds) {
  if (milliseconds == null) return "unknown";
  if (milliseconds === 0) return "0";
  const [unit, size] = [["s", 1000], ["ms", 1], ["µs", 0.001]].find(([, size]) => Math.abs(milliseconds) >= size) ?? ["ms", 1];
  return `${Number((milliseconds / size).toPrecision(3))} ${unit}`;
}

// ---------- making elements

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A labelled choice; `options` are [value, text]. It keeps its value where the new options have it. */
function choice(form, name, label) {
  const select = make("select", { name });
  form.append(make("label", {}, label, select));
  return {
    get value() {
      return select.value;
    },
    set(options) {
      const before = select.value;
      select.replaceChildren(...options.map(([value, text]) => make("option", { value, textContent: text })));
      if (options.some(([value]) => value === before)) select.value = before;
      select.parentElement.hidden = options.length < 2;
    },
    listen: (react) => select.addEventListener("change", react),
  };
}

function legend(entries) {
  const items = entries.map(([color, text, block]) => {
    const mark = make("span", { className: block ? "block" : "" });
    mark.style.background = color;
    return make("li", {}, mark, text);
  });
  return make("ul", { className: "legend" }, ...items);
}

/** The numbers of a chart as a table, for those who read rather than look. */
function fillRows(chart, headings, rows, changed = () => false) {
  const head = make("tr", {}, ...headings.map((text) => make("th", { scope: "col", textContent: text })));
  const body = rows.map((row) =>
    make("tr", {}, ...row.map((cell, place) => make("td", { textContent: cell, className: changed(row, place) ? "changed" : "" }))),
  );
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
  const region = make("div", { className: "scroll", tabIndex: 0 }, table);
  region.setAttribute("role", "group");
  region.setAttribute("aria-label", `Numbers of ${chart.querySelector("h3").textContent}`);
  chart.querySelector(".rows > div").replaceChildren(region);
}

// ---------- charts

/** Draw now, and again where the width or the colour scheme changes. */
function drawn(id, setup) {
  const chart = document.getElementById(`chart-${id}`);
  if (!chart) return;
  const draw = setup(chart, chart.querySelector("form"), chart.querySelector(".plot"));
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 1) return;
    width = entry.contentRect.width;
    requestAnimationFrame(draw); // within the observer, it would be told of its own doing
  }).observe(chart.querySelector(".plot"));
  dark.addEventListener("change", draw);
}

function panelWidth(place, panels) {
  const width = place.clientWidth;
  return width < NARROW ? width : Math.floor((width - 24 * (panels - 1)) / panels);
}

/**
 * A panel of Observable Plot that is one image to a screen reader, and that arrow keys walk through: `readings` is a
 * sentence for each place on the horizontal axis.
 */
function panel(chart, label, options, readings) {
  const plot = Plot.plot({ marginLeft: 52, marginTop: 30, marginBottom: 38, style: { background: "none", fontSize: "12px" }, ...options, y: { grid: true, ...options.y } });
  const svg = plot.matches("svg") ? plot : plot.querySelector("svg");
  svg.setAttribute("aria-hidden", "true");
  const holder = make("div", { tabIndex: 0 }, plot);
  holder.setAttribute("role", "img");
  holder.setAttribute("aria-label", `${label}. Left and right arrow keys read the values.`);
  let place = -1;
  holder.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !readings.length) return;
    event.preventDefault();
    place = Math.min(Math.max(place + step, 0), readings.length - 1);
    chart.querySelector(".reading").textContent = readings[place];
  });
  return holder;
}

drawn("kappa", (chart, form, place) => {
  const { curves } = data.kappa;
  const attack = choice(form, "attack", "Attack type");
  attack.set(Object.keys(curves).map((name) => [name, name === "All" ? "All types together" : `${name} (${curves[name].flows} flows)`]));
  attack.listen(draw);
  const points = Object.entries(curves).flatMap(([name, curve]) =>
    curve.kappa.map((kappa, at) => ({ attack: name, kappa, success: curve.success[at], distance: curve.distance[at], flows: curve.flows })),
  );

  function draw() {
    const chosen = attack.value;
    const own = points.filter((point) => point.attack === chosen);
    const one = (value, label, scale) =>
      panel(
        chart,
        `${label} over kappa, ${chosen}`,
        {
          width: panelWidth(place, 2),
          height: 280,
          x: { type: "log", label: "kappa", ticks: curves[chosen].kappa, tickFormat: String },
          y: { label, zero: true, ...scale },
          marks: [
            Plot.line(points, { x: "kappa", y: value, z: "attack", stroke: "var(--grey)", strokeWidth: 1, strokeOpacity: 0.6 }),
            Plot.lineY(own, { x: "kappa", y: value, stroke: "var(--c0)", strokeWidth: 2.5 }),
            Plot.dot(own, { x: "kappa", y: value, fill: "var(--c0)", r: 4 }),
            Plot.tip(points, Plot.pointer({ x: "kappa", y: value, fill: "var(--paper)", lineHeight: 1.35, title: describe })),
          ],
        },
        own.map(describe),
      );
    place.replaceChildren(
      one("success", "Become benign (%)", { percent: true, domain: [0, 100] }),
      one("distance", "Mean L1 distance (z-scores)", {}),
    );
    fillRows(chart, ["Attack type", "Kappa", "Flows", "Become benign", "Mean L1 distance"], points.map((point) =>
      [point.attack, point.kappa, point.flows, percent(point.success, 1), point.distance == null ? "none" : number(point.distance)]));
  }

  const describe = ({ attack, kappa, success, distance, flows }) =>
    `${attack}, kappa ${kappa}: ${percent(success)} of ${flows} flows${distance == null ? "" : `, distance ${number(distance)}`}`;
  return draw;
});

drawn("budget", (chart, form, place) => {
  const { budgets, curves } = data.budget;
  const names = Object.keys(curves).map((key) => key.split("|"));
  const unique = (place) => [...new Set(names.map((parts) => parts[place]))];
  const unit = choice(form, "unit", "What is added");
  const attack = choice(form, "attack", "Attack type");
  const compare = choice(form, "compare", "Compare");
  const fixed = choice(form, "fixed", "Of");
  unit.set(Object.keys(budgets).map((name) => [name, name === "bytes" ? "Bytes" : "Time"]));
  attack.set(unique(2).map((name) => [name, name === "All" ? "All types together" : name]));
  compare.set([["0", "models"], ["1", "threat models"]]);
  [unit, attack, fixed].forEach((one) => one.listen(draw));
  compare.listen(() => {
    offer();
    draw();
  });

  function offer() {
    const other = 1 - Number(compare.value);
    fixed.set(unique(other).map((name) => [name, `${other ? "threat model " : ""}${plain(name)}`]));
  }

  function draw() {
    const varied = Number(compare.value);
    const amounts = budgets[unit.value];
    const text = (value) => (unit.value === "bytes" ? bytes(value) : duration(1000 * value));
    const lines = unique(varied).flatMap((name) => {
      const key = (varied ? [fixed.value, name] : [name, fixed.value]).concat(attack.value).join("|");
      return curves[key] ? [{ name, flows: curves[key].flows, shares: curves[key][unit.value] }] : [];
    });
    const points = lines.flatMap(({ name, shares }) => shares.map((share, at) => ({ name, share, budget: amounts[at] })));
    const colors = new Map(lines.map(({ name }, at) => [name, COLORS[at % COLORS.length]]));
    const smallest = amounts.find((value) => value > 0);
    const ticks = amounts.filter((value, at) => value === 0 || (String(value).match(/1(?=0*$)|^1e/) && at % 2 === 1));
    const reading = (at) => `At most ${text(amounts[at])}: ${lines.map(({ name, shares }) => `${plain(name)} ${percent(shares[at])}`).join(", ")}`;
    place.replaceChildren(
      legend([...colors].map(([name, color]) => [color, plain(name)])),
      panel(
        chart,
        `Share of flows that pass for benign over added ${unit.value}, ${attack.value}`,
        {
          width: Math.min(place.clientWidth, 900),
          height: 320,
          x: { type: "symlog", constant: smallest, label: `Added to a flow, at most`, ticks: place.clientWidth < 500 ? ticks.filter((_, at) => at % 2 === 0) : ticks, tickFormat: (value) => (unit.value === "bytes" ? number(value) : duration(1000 * value)) },
          y: { percent: true, domain: [0, 100], label: "Pass for benign (%)" },
          marks: [
            Plot.lineY(points, { x: "budget", y: "share", z: "name", stroke: ({ name }) => colors.get(name), strokeWidth: 2, curve: "step-after" }),
            Plot.ruleX(points, Plot.pointerX({ x: "budget", stroke: "var(--grey)" })),
            Plot.tip(points, Plot.pointerX({ x: "budget", y: "share", fill: "var(--paper)", lineHeight: 1.35, title: ({ name, share, budget }) => `${plain(name)}\nat most ${text(budget)}: ${percent(share, 1)}` })),
          ],
        },
        amounts.map((_, at) => reading(at)),
      ),
    );
    fillRows(chart, ["At most", ...lines.map(({ name }) => plain(name))], amounts.map((value, at) => [text(value), ...lines.map(({ shares }) => percent(shares[at], 1))]));
  }

  offer();
  return draw;
});

drawn("dependence", (chart, form, place) => {
  const model = choice(form, "model", "Model");
  const attack = choice(form, "attack", "Attack type");
  model.set(Object.keys(data.dependence).map((name) => [name, plain(name)]));
  model.listen(() => {
    offer();
    draw();
  });
  attack.listen(draw);

  function offer() {
    attack.set(Object.keys(data.dependence[model.value]).map((name) => [name, name]));
  }

  const feature = { packet_length: "Length (bytes)", interarrival_time: "Gap before the packet" };

  function one(name, found) {
    const logarithmic = name === "interarrival_time";
    const { values, steps } = found;
    const middle = (low, high) => (logarithmic && low > 0 ? Math.sqrt(low * high) : (low + high) / 2);
    const edge = (at) => (at <= 0 ? values[0] : at >= values.length ? values.at(-1) : middle(values[at - 1], values[at]));
    const cells = steps.flatMap((step, row) =>
      values.flatMap((value, at) => {
        const confidence = found.confidence[row][at];
        return confidence == null ? [] : [{ step, value, confidence, flows: found.flows[row], low: edge(at), high: edge(at + 1) }];
      }),
    );
    const line = (kind) => found[kind].map((value, at) => ({ step: at + 1, value, kind })).filter(({ value }) => value != null);
    const positive = values.filter((value) => value > 0);
    const scale = logarithmic && positive.length > 1 ? { type: "symlog", constant: positive[0], ticks: d3.ticks(Math.log10(positive[0]), Math.log10(positive.at(-1)), 4).map((power) => 10 ** Math.round(power)).filter((value) => value <= positive.at(-1)), tickFormat: duration } : {};
    const shades = dark.matches ? ["#2f7fb5", "#2a2f35", "#c96a1e"] : ["#6fb7e4", "#ffffff", "#f0a35e"];
    const shade = d3.scaleLinear([0, 0.5, 1], shades);
    const shownAs = (value) => (logarithmic ? duration(value) : bytes(value));
    const describe = ({ step, value, confidence, flows }) => `Packet ${step}, ${shownAs(value)}: ${percent(confidence)} attack (mean of ${flows} flows)`;
    const readings = steps.map((step, row) => {
      const own = found.confidence[row].map((confidence, at) => [confidence, values[at]]).filter(([confidence]) => confidence != null);
      const [least, most] = [d3.least(own, ([confidence]) => confidence), d3.greatest(own, ([confidence]) => confidence)];
      return `Packet ${step}: from ${percent(least[0])} attack at ${shownAs(least[1])} to ${percent(most[0])} at ${shownAs(most[1])}`;
    });
    return panel(
      chart,
      `${feature[name]}: mean confidence over packet and value, ${attack.value}`,
      {
        width: panelWidth(place, 2),
        height: 320,
        marginLeft: 62,
        x: { label: "Packet of the flow", domain: [steps[0] - 0.5, steps.at(-1) + 0.5], ticks: Math.min(steps.length, 8), tickFormat: (step) => (Number.isInteger(step) ? step : "") },
        y: { label: feature[name], grid: false, ...scale },
        marks: [
          Plot.rect(cells, { x1: ({ step }) => step - 0.5, x2: ({ step }) => step + 0.5, y1: "low", y2: "high", fill: ({ confidence }) => shade(confidence), fillOpacity: ({ flows }) => (flows < 5 ? 0.35 : 1), shapeRendering: "crispEdges" }),
          Plot.line(line("original"), { x: "step", y: "value", stroke: "var(--original)", strokeWidth: 2 }),
          Plot.dot(line("original"), { x: "step", y: "value", fill: "var(--original)", r: 2 }),
          Plot.line(line("adversarial"), { x: "step", y: "value", stroke: "var(--moved)", strokeWidth: 1.5, strokeDasharray: "4 2" }),
          Plot.dot(line("adversarial"), { x: "step", y: "value", fill: "var(--moved)", r: 2.5 }),
          Plot.tip(cells, Plot.pointer({ x: "step", y: ({ low, high }) => (low + high) / 2, fill: "var(--paper)", lineHeight: 1.35, title: describe })),
        ],
      },
      readings,
    );
  }

  function draw() {
    const found = data.dependence[model.value][attack.value];
    const evaded = Object.values(found)[0]?.evaded ?? 0;
    const shades = dark.matches ? ["#2f7fb5", "#c96a1e"] : ["#6fb7e4", "#f0a35e"];
    place.replaceChildren(
      legend([
        [shades[0], "benign", true],
        [shades[1], "attack", true],
        ["var(--original)", evaded ? `${evaded} flows that evaded, before` : "all flows; none evaded"],
        ...(evaded ? [["var(--moved)", "after the attack"]] : []),
      ]),
      ...Object.entries(found).map(([name, panels]) => one(name, panels)),
    );
    const rows = Object.entries(found).flatMap(([name, { steps, flows, original, adversarial }]) =>
      steps.map((step, at) => [feature[name], step, flows[at], original[at] == null ? "" : number(original[at]), adversarial[at] == null ? "" : number(adversarial[at])]));
    fillRows(chart, ["Feature", "Packet", "Flows", "Before", "After the attack"], rows);
  }

  offer();
  return draw;
});

drawn("flows", (chart, form, place) => {
  const model = choice(form, "model", "Model");
  const attack = choice(form, "attack", "Attack type");
  const sample = choice(form, "sample", "Flow");
  const axis = choice(form, "axis", "Horizontal axis");
  model.set(Object.keys(data.flows).map((name) => [name, plain(name)]));
  axis.set([["packet", "packet number"], ["time", "time since the first packet"]]);
  model.listen(() => (offerTypes(), offerFlows(), draw()));
  attack.listen(() => (offerFlows(), draw()));
  [sample, axis].forEach((one) => one.listen(draw));

  function offerTypes() {
    attack.set(Object.keys(data.flows[model.value]).map((name) => [name, name]));
  }

  function offerFlows() {
    const said = { detected: "detected; nothing evades", missed: "missed as it is" };
    sample.set(data.flows[model.value][attack.value].map(({ sample, row, l1 }) =>
      [String(row), `row ${row}: ${said[sample] ?? `${sample} evasion, ${number(l1)} z-scores`}`]));
  }

  function packets(flow, of) {
    const time = d3.cumsum(of.iat_ms);
    return of.length.map((length, at) => ({
      packet: at + 1,
      x: axis.value === "time" ? time[at] / 1000 : at + 1,
      length,
      signed: flow.forward[at] ? length : -length,
      gap: of.iat_ms[at],
      confidence: of.confidence[at],
      forward: flow.forward[at],
    }));
  }

  function draw() {
    const flow = data.flows[model.value][attack.value].find(({ row }) => String(row) === sample.value);
    const before = packets(flow, flow);
    const after = flow.adversarial ? packets(flow, flow.adversarial) : [];
    const width = Math.min(place.clientWidth, 980);
    const all = [...before, ...after];
    const inTime = axis.value === "time";
    const x = inTime
      ? { label: null, domain: [0, d3.max(all, ({ x }) => x) || 1] }
      : { label: null, domain: [0.4, before.length + 0.6], ticks: Math.min(before.length, width < 500 ? 6 : 12), tickFormat: (step) => (Number.isInteger(step) ? step : "") };
    const reading = (one, at) => {
      const twin = after[at];
      const changed = twin && (twin.length !== one.length || twin.gap !== one.gap);
      return `Packet ${one.packet}, ${one.forward ? "from the initiator" : "answer"}: ${bytes(one.length)}, gap ${duration(one.gap)}, ${percent(one.confidence, 1)} attack` +
        (twin ? `; evasion: ${changed ? `${bytes(twin.length)}, gap ${duration(twin.gap)}, ` : "same packet, "}${percent(twin.confidence, 1)} attack` : "");
    };
    const readings = before.map(reading);
    const tip = (y) => Plot.tip(before, Plot.pointerX({ x: "x", y, fill: "var(--paper)", lineWidth: 30, lineHeight: 1.35, title: (one) => readings[one.packet - 1] }));
    const gaps = all.map(({ gap }) => gap).filter((gap) => gap > 0);
    const spread = gaps.length && d3.max(gaps) > 30 * d3.min(gaps);
    const least = gaps.length ? 10 ** Math.floor(Math.log10(d3.min(gaps))) : 1;
    const powers = gaps.length ? d3.range(Math.log10(least), Math.floor(Math.log10(d3.max(gaps))) + 1) : [];
    const every = Math.max(2, Math.ceil(powers.length / 4)); // never the first, which is close to 0
    const gapScale = spread ? { type: "symlog", constant: least, ticks: [0, ...powers.filter((_, at) => at % every === every - 1).map((power) => 10 ** power)], tickFormat: duration } : { zero: true, ticks: 4, tickFormat: duration };
    const shift = inTime ? 0 : Math.min(0.18, 60 / width);
    const stem = (rows, y, color, strokeWidth, by) => [
      Plot.ruleX(rows, { x: (one) => one.x + by, y1: 0, y2: y, stroke: color, strokeWidth }),
      Plot.dot(rows, { x: (one) => one.x + by, y, fill: color, r: strokeWidth + 1 }),
    ];
    const strong = Math.max(1, Math.min(3, width / before.length / 6));
    const wide = inTime ? strong + 2 : strong; // what the twin covers stays in sight
    const common = { width, marginBottom: 26, x };
    const lengths = panel(chart, `Packet lengths of flow ${flow.row}`, {
      ...common,
      height: 210,
      y: { label: "Length (bytes)", ticks: 5, tickFormat: Math.abs },
      marks: [Plot.ruleY([0], { stroke: "var(--soft)" }), ...stem(before, "signed", "var(--original)", wide, -shift), ...stem(after, "signed", "var(--twin)", strong, shift), tip("signed")],
    }, readings);
    const times = panel(chart, `Gaps before the packets of flow ${flow.row}`, {
      ...common,
      height: 160,
      y: { label: "Gap before the packet", ...gapScale },
      marks: [...stem(before, "gap", "var(--original)", wide, -shift), ...stem(after, "gap", "var(--twin)", strong, shift), tip("gap")],
    }, readings);
    const confidence = panel(chart, `Confidence after each packet of flow ${flow.row}`, {
      ...common,
      marginBottom: 40,
      x: { ...x, label: inTime ? "Seconds since the first packet" : "Packet of the flow" },
      height: 190,
      y: { percent: true, domain: [0, 100], ticks: [0, 50, 100], label: "Confidence: attack (%)" },
      marks: [
        Plot.ruleY([0.5], { stroke: "var(--soft)", strokeDasharray: "3 3" }),
        Plot.lineY(before, { x: "x", y: "confidence", stroke: "var(--original)", strokeWidth: 1.8 }),
        Plot.dot(before, { x: "x", y: "confidence", fill: "var(--original)", r: 2.5 }),
        Plot.lineY(after, { x: "x", y: "confidence", stroke: "var(--twin)", strokeWidth: 1.8 }),
        Plot.dot(after, { x: "x", y: "confidence", fill: "var(--twin)", r: 2.5 }),
        tip("confidence"),
      ],
    }, readings);
    const verdict = (rows) => (rows.at(-1).confidence > 0.5 ? "attack" : "benign");
    place.replaceChildren(
      legend([["var(--original)", `flow ${flow.row}, judged ${verdict(before)}`], ...(after.length ? [["var(--twin)", `its evasion under threat model ${plain(flow.threat_model)}, judged ${verdict(after)}`]] : [])]),
      lengths, times, confidence,
    );
    fillRows(chart, ["Packet", "Direction", "Bytes", "Gap", "Confidence", ...(after.length ? ["Bytes, evasion", "Gap, evasion", "Confidence, evasion"] : [])],
      before.map((one, at) => [one.packet, one.forward ? "forward" : "reverse", one.length, duration(one.gap), percent(one.confidence, 1),
        ...(after.length ? [after[at].length, duration(after[at].gap), percent(after[at].confidence, 1)] : [])]),
      (row, place) => place > 4 && place < 7 && row[place] !== row[place - 3]);
  }

  offerTypes();
  offerFlows();
  return draw;
});

// ---------- tables

/** What a cell is sorted by: its number, infinity last, text after numbers. */
function rank(text) {
  if (text.startsWith("∞")) return [0, Infinity];
  const found = parseFloat(text.replaceAll(",", "").replace("−", "-"));
  return Number.isNaN(found) ? [1, text] : [0, found];
}

function compare([kind, value], [otherKind, other]) {
  if (kind !== otherKind) return kind - otherKind;
  return kind ? value.localeCompare(other) : value - other || 0;
}

function sortable(table) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, place) => {
    const button = make("button", { type: "button" }, ...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = [...body.rows].map((row) => [rank(row.cells[place].textContent.trim()), row]);
      keyed.sort(([one], [other]) => (down ? compare(other, one) : compare(one, other)));
      body.append(...keyed.map(([, row]) => row));
    });
  });
}

/** Choices above a long table, one for each column of words with few values. */
function filterable(table, region) {
  const rows = [...table.tBodies[0].rows];
  const headings = [...table.tHead.rows[0].cells];
  const form = make("form", { className: "choices" });
  const choices = headings.flatMap((heading, place) => {
    const values = [...new Set(rows.map((row) => row.cells[place]?.textContent ?? ""))];
    if (!heading.classList.contains("text") || values.length < 2 || values.length > 20) return [];
    const one = choice(form, `column-${place}`, heading.textContent);
    one.set([["", "all"], ...values.map((value) => [value, value])]);
    one.listen(apply);
    return [{ place, one }];
  });

  function apply() {
    rows.forEach((row) => {
      row.hidden = choices.some(({ place, one }) => one.value && row.cells[place].textContent !== one.value);
    });
  }

  if (!choices.length) return;
  form.setAttribute("aria-label", `Filter: ${region.getAttribute("aria-label")}`);
  region.before(form);
  if (table.closest("#table-ars")) {
    form.querySelectorAll("select").forEach((select, at) => {
      if (at < 3) select.selectedIndex = 1; // the first model, threat model and goal
    });
    apply();
  }
}

const LONG = 25; // rows, from which on a table has choices above it
document.querySelectorAll("table.sortable").forEach((table) => {
  if (table.tBodies[0].rows.length < 2) return;
  if (table.tBodies[0].rows.length > LONG) filterable(table, table.closest(".scroll"));
  sortable(table);
});

// ---------- what scrolls inside itself is a stop of the tab key while it has to scroll

const stops = new ResizeObserver((seen) =>
  seen.forEach(({ target }) => {
    const scrolls = target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight;
    scrolls ? target.setAttribute("tabindex", "0") : target.removeAttribute("tabindex");
  }),
);
document.querySelectorAll(".scroll").forEach((element) => stops.observe(element));

// ---------- links into folded parts, and where the reader is

function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target?.closest("details");
  if (!folded || folded.open) return;
  folded.open = true;
  target.scrollIntoView();
}

addEventListener("hashchange", unfold);
unfold();

const entries = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const watcher = new IntersectionObserver(
  (seen) =>
    seen.filter(({ isIntersecting }) => isIntersecting).forEach(({ target }) => {
      entries.forEach((link, name) => (name === target.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
    }),
  { rootMargin: "-20% 0px -70% 0px" },
);
document.querySelectorAll("main > section").forEach((section) => watcher.observe(section));
