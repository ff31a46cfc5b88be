// Follows one open notebook: which exercises it has, how they stand, and what has just been checked.
//
// The notebook itself is the record. Only what its cells cannot tell is added: the fingerprint of the answer
// that a check saw goes into the notebook's metadata, so that "changed since" survives a reload.

import { cellsOf, exercisesOf, fingerprint, ours, reportsIn, sourceOf } from "./exercises.js";

const CHECKED = "autograder_checked";  // {exercise: fingerprint}; beside `autograder`, which is the author's
const PAUSE = 60;  // ms: a burst of outputs or keystrokes is looked at once
const LATER = 1e9;  // what runs before our eyes ran later than anything a saved execution count says

export class Watch {
  exercises = [];
  #seen = new WeakSet();  // outputs with a report that are no news
  #ranAs = new Map();  // answer cell's id -> its source when it was last run
  #order = new Map();  // cell's id -> when it ran, as a count
  #inKernel = new Set();  // ids of cells that this kernel has run
  #count = 0;
  #timer = 0;

  // `changed(watch)` is called after every look, `news(watch, names)` when exercises have just been checked.
  constructor(panel, { changed, news }) {
    this.panel = panel;
    this.changed = changed;
    this.news = news;
    panel.disposed.connect(() => clearTimeout(this.#timer));
    panel.context.ready.then(() => this.#begin());
  }

  get model() {
    return this.panel.content.model;
  }

  #begin() {
    if (this.panel.isDisposed || !this.model) {
      return;
    }
    for (const cell of cellsOf(this.model)) {
      reportsIn(cell).forEach(({ output }) => this.#seen.add(output));
    }
    this.model.contentChanged.connect(() => this.#soon());
    this.panel.content.activeCellChanged.connect(() => this.changed(this));
    this.panel.sessionContext.kernelChanged.connect(() => this.#inKernel.clear());
    this.panel.sessionContext.statusChanged.connect((_, status) => {
      if (/restarting$|^dead$/.test(status)) {
        this.#inKernel.clear();
      }
    });
    this.look();
  }

  // A cell is about to run; called for every way of running one.
  ran(cell) {
    this.#order.set(cell.id, LATER + (this.#count += 1));
    this.#inKernel.add(cell.id);
    this.#ranAs.set(cell.id, sourceOf(cell));
    this.#soon();
  }

  knownToKernel(cell) {
    return this.#inKernel.has(cell.id);
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.look(), PAUSE);
  }

  // Reads the notebook anew.
  look() {
    clearTimeout(this.#timer);
    if (this.panel.isDisposed || !this.model) {
      return;
    }
    const names = this.#newlyChecked();
    const when = cell => this.#order.get(cell.id) ?? cell.executionCount ?? 0;
    this.exercises = exercisesOf(this.model, { when, checked: this.model.getMetadata(CHECKED) ?? {} });
    this.changed(this);
    const known = names.filter(name => this.exercises.some(e => e.name === name));
    if (known.length) {
      this.news(this, known);
    }
  }

  #newlyChecked() {
    const cells = cellsOf(this.model);
    const fresh = cells.flatMap(reportsIn).filter(({ output }) => !this.#seen.has(output));
    const names = [...new Set(fresh.flatMap(({ results }) => results.map(e => e.name)))];
    if (names.length) {
      fresh.forEach(({ output }) => this.#seen.add(output));
      const checked = { ...this.model.getMetadata(CHECKED) };
      for (const name of names) {
        const answers = cells.filter(cell => ours(cell).role === "answer" && ours(cell).exercise === name);
        if (answers.length) {
          checked[name] = fingerprint(answers.map(cell => this.#ranAs.get(cell.id) ?? sourceOf(cell)));
        }
      }
      this.model.setMetadata(CHECKED, checked);
    }
    return names;
  }
}
