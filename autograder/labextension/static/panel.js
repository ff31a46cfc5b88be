// The panel's page: a list of exercises with their states, drawn from data and nothing else.
//
// All text is put in as text nodes: names come from a notebook that anybody may have written. Rows are kept
// from one drawing to the next, so that the focus stays where it is while results come in.

import { SYMBOLS, pointsOf, totals } from "./exercises.js";

function element(tag, { text, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, value);
  }
  node.append(...(text === undefined ? children : [text]));
  return node;
}

function set(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

const EMPTY = {
  closed: "Open a notebook of the course, and its exercises stand here.",
  reading: "This notebook has no exercises. It is for reading.",
  foreign: "This notebook has no exercises of the course."
};

// `on` has the functions go(name), checkAll() and next().
export class Page {
  #rows = new Map();

  constructor(on) {
    this.on = on;
    this.title = element("h2", { class: "ag-panel-title", text: "Exercises" });
    this.name = element("p", { class: "ag-panel-notebook" });
    this.empty = element("p", { class: "ag-panel-empty" });
    this.bar = element("progress", { "aria-label": "Exercises passed", value: 0, max: 1 });
    this.passed = element("span", { class: "ag-panel-line" });
    this.points = element("span", { class: "ag-panel-line" });
    this.total = element("p", { class: "ag-panel-total" }, this.passed, this.points);
    this.list = element("ul", { class: "ag-panel-list", "aria-label": "Exercises in order" });
    this.buttons = element("div", { class: "ag-panel-buttons" });
    const actions = { "Next open exercise": on.next, "Check the whole notebook": on.checkAll };
    for (const [text, does] of Object.entries(actions)) {
      const button = element("button", { type: "button", class: "ag-panel-button", text });
      button.addEventListener("click", () => does());
      this.buttons.append(button);
    }
    this.note = element("p", {
      class: "ag-panel-note",
      text: "A check gives the points of its visible tests. autograder grade runs the hidden ones as well."
    });
    this.full = element("div", {}, this.bar, this.total, this.list, this.buttons, this.note);
    this.node = element("section", { class: "ag-panel", "aria-label": "Exercises of this notebook" });
    this.node.append(this.title, this.name, this.empty, this.full);
    this.list.addEventListener("keydown", event => this.#move(event));
  }

  // `watch` is null where no notebook is open; `here` is the exercise that the Check button would check.
  draw(watch, here) {
    const exercises = watch?.exercises ?? [];
    const kind = !watch ? "closed" : watch.model?.getMetadata("autograder") ? "reading" : "foreign";
    set(this.name, watch ? watch.panel.title.label.replace(/\.ipynb$/, "") : "");
    set(this.empty, exercises.length ? "" : EMPTY[kind]);
    this.empty.hidden = exercises.length > 0;
    this.full.hidden = exercises.length === 0;
    const sums = totals(exercises);
    this.bar.max = Math.max(sums.count, 1);
    this.bar.value = sums.passed;
    set(this.passed, sums.sentence);
    set(this.points, sums.points);
    const rows = exercises.map(exercise => this.#row(exercise, exercise === here));
    if (rows.length !== this.list.children.length || rows.some((row, i) => row !== this.list.children[i])) {
      this.list.replaceChildren(...rows);
    }
  }

  #row(exercise, here) {
    const { name, state, changed, why } = exercise;
    let row = this.#rows.get(name);
    if (!row) {
      row = this.#newRow(name);
      this.#rows.set(name, row);
    }
    const { badge, symbol, word, points, more, reason, button } = row;
    badge.className = `ag-badge ag-${state.replaceAll(" ", "-")}`;
    set(symbol, SYMBOLS[state]);
    set(word, ` ${state}`);
    set(points, pointsOf(exercise));
    set(reason, changed ? "changed since its last check" : why);
    more.hidden = reason.textContent === "";
    button.dataset.state = state;
    button.toggleAttribute("data-changed", changed);
    here ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current");
    return row.item;
  }

  #newRow(name) {
    const symbol = element("span", { "aria-hidden": "true" });
    const word = element("span");
    const badge = element("span", {}, symbol, word);
    const points = element("span", { class: "ag-panel-points" });
    const title = element("span", { class: "ag-panel-exercise", text: name });
    // The commas are for the ear: without them the pieces are read as one word.
    const comma = () => element("span", { class: "ag-panel-ear", text: ", " });
    const reason = element("span");
    const more = element("span", { class: "ag-panel-more" }, comma(), reason);
    const attributes = { type: "button", class: "ag-panel-row" };
    const button = element("button", attributes, title, comma(), badge, comma(), points, more);
    button.dataset.exercise = name;
    button.addEventListener("click", () => this.on.go(name));
    return { badge, symbol, word, points, more, reason, button, item: element("li", {}, button) };
  }

  // Arrow keys, Home and End walk through the list; Tab does, too.
  #move(event) {
    const buttons = [...this.list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at >= 0 && buttons[to]) {
      buttons[to].focus();
      event.preventDefault();
    }
  }
}

// One sentence at a time for screen readers. It lives outside the panel, which may be closed.
export class Voice {
  constructor() {
    this.node = element("div", { class: "ag-panel-ear ag-panel-voice", role: "status", "aria-live": "polite" });
    document.body.append(this.node);
  }

  say(sentence) {
    this.node.textContent = "";  // the same sentence twice is said twice
    setTimeout(() => {
      this.node.textContent = sentence;
    }, 50);
  }
}
