// The plugin: commands, the panel, and what connects them to the notebooks that are open.
//
// Toolbar button, menu entries and the shortcut are data: schemas/autograder/plugin.json, where JupyterLab lets
// a learner change them.

import { checkExercise, goTo } from "./checking.js";
import { exerciseAt, nextOpen, ours, pointsOf, totals } from "./exercises.js";
import { Page, Voice } from "./panel.js";
import { Watch } from "./watch.js";

const CHECK = "autograder:check-exercise";
const CHECK_ALL = "autograder:check-notebook";
const NEXT = "autograder:next-exercise";
const SHOW = "autograder:show-panel";
const FEW = 3;  // exercises that are told one by one
const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><path class="jp-icon3" fill="#616161" ' +
  'd="M4 3h16v18H4V3zm2 2v14h12V5H6zm4.7 11.2-3.4-3.4 1.4-1.4 2 2 4.6-4.6 1.4 1.4-6 6z"/></svg>';

const LIBRARIES = ["notebook", "application", "apputils", "ui-components", "translation"];

// `shared(name)` gives a library of the front end, or null. In a front end without these libraries, or without
// a notebook tracker (Notebook 7's list of files), there is nothing to do, and nothing is done.
export async function pluginFor(shared, style) {
  const about = {
    id: "autograder:plugin",
    autoStart: true,
    description: "A Check button and a panel with the exercises of a notebook."
  };
  const names = [...LIBRARIES.map(name => `@jupyterlab/${name}`), "@lumino/widgets"];
  const libraries = await Promise.all(names.map(shared));
  if (!libraries.every(Boolean)) {
    return { ...about, activate: () => {} };
  }
  const [notebook, application, apputils, ui, translation, widgets] = libraries;
  return {
    ...about,
    optional: [
      notebook.INotebookTracker,
      application.ILayoutRestorer,
      apputils.ICommandPalette,
      apputils.ISessionContextDialogs,
      translation.ITranslator
    ],
    activate: (app, tracker, restorer, palette, dialogs, translator) => {
      if (tracker) {
        document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: style }));
        const { NotebookActions } = notebook;
        const { Notification } = apputils;
        const icon = new ui.LabIcon({ name: "autograder:exercises", svgstr: ICON });
        const desk = new Desk(app, tracker, { NotebookActions, Notification, dialogs, translator, icon });
        desk.open(widgets.Widget, restorer, palette);
      }
    }
  };
}

class Desk {
  #watches = new Map();  // notebook panel -> its Watch
  #busy = false;

  constructor(app, tracker, libraries) {
    Object.assign(this, { app, tracker, libraries });
    this.voice = new Voice();
    this.page = new Page({
      go: name => this.#go(this.watch?.exercises.find(e => e.name === name)),
      next: () => app.commands.execute(NEXT),
      checkAll: () => app.commands.execute(CHECK_ALL)
    });
  }

  // The notebook in front, if any.
  get watch() {
    return this.#watches.get(this.tracker.currentWidget) ?? null;
  }

  get exercises() {
    return this.watch?.exercises ?? [];
  }

  get here() {
    return this.watch?.model ? exerciseAt(this.watch.model, this.exercises, this.#place) : null;
  }

  get #place() {
    return this.watch?.panel.content.activeCellIndex ?? 0;
  }

  open(Widget, restorer, palette) {
    this.#addCommands(palette);
    this.#addPanel(Widget, restorer);
    this.tracker.forEach(panel => this.#follow(panel));
    this.tracker.widgetAdded.connect((_, panel) => this.#follow(panel));
    this.tracker.currentChanged.connect(() => this.#draw());
    this.libraries.NotebookActions.executionScheduled.connect((_, { notebook, cell }) => {
      for (const [panel, watch] of this.#watches) {
        if (panel.content === notebook) {
          watch.ran(cell.model);
        }
      }
    });
    this.#draw();
  }

  #follow(panel) {
    if (!this.#watches.has(panel)) {
      panel.disposed.connect(() => {
        this.#watches.delete(panel);
        this.#draw();
      });
      const changed = () => this.#draw();
      this.#watches.set(panel, new Watch(panel, { changed, news: (watch, names) => this.#tell(watch, names) }));
    }
  }

  #draw() {
    this.page.draw(this.watch, this.here);
    for (const command of [CHECK, CHECK_ALL, NEXT]) {
      this.app.commands.notifyCommandChanged(command);
    }
  }

  #addCommands(palette) {
    const any = () => this.exercises.length > 0;
    const add = (id, options) => {
      this.app.commands.addCommand(id, options);
      palette?.addItem({ command: id, category: "Exercises" });
    };
    const check = {
      label: "Check Current Exercise",
      caption: "Run the answer and its check",
      icon: this.libraries.icon
    };
    add(CHECK, { ...check, isEnabled: any, isVisible: any, execute: () => this.#alone(() => this.#check()) });
    const whole = { label: "Check the Whole Notebook", isEnabled: any };
    add(CHECK_ALL, { ...whole, execute: () => this.#alone(() => this.#checkAll()) });
    add(NEXT, { label: "Next Open Exercise", isEnabled: any, execute: () => this.#next() });
    add(SHOW, { label: "Show Exercises", execute: () => this.app.shell.activateById(this.panel.id) });
  }

  #addPanel(Widget, restorer) {
    this.panel = new Widget({ node: this.page.node });
    this.panel.id = "autograder-exercises";
    this.panel.title.icon = this.libraries.icon;
    this.panel.title.caption = "Exercises of this notebook";
    this.app.shell.add(this.panel, "right", { rank: 50, type: "Exercises" });
    restorer?.add(this.panel, this.panel.id);
  }

  // One check after the other: a second press while one runs would only queue the same cells again.
  async #alone(work) {
    if (this.#busy) {
      this.voice.say("The check before this one is still running.");
      return;
    }
    this.#busy = true;
    try {
      await work();
    } finally {
      this.#busy = false;
    }
  }

  async #check() {
    const { watch, here } = this;
    if (here) {
      await this.#run(watch, here);
      return;
    }
    const next = this.exercises.find(e => e.place > this.#place) ?? this.exercises.at(-1);
    if (next) {
      this.#show(`This cell belongs to no exercise. Here is ${next.name}; check again to check it.`);
      await this.#go(next, { silent: true });
    }
  }

  // What has not been begun is left out: its card would only say so.
  async #checkAll() {
    const watch = this.watch;
    const begun = this.exercises.filter(e => e.state !== "to do" || e.changed);
    for (const { name } of begun) {
      const exercise = watch.exercises.find(e => e.name === name);  // places move when cells come and go
      if (!watch.panel.isDisposed && exercise) {
        await this.#run(watch, exercise, { still: true });
      }
    }
    const { sentence, points } = totals(watch.exercises);
    const left = watch.exercises.length - begun.length;
    const rest = left ? ` ${left} still to do.` : "";
    this.#show(`${sentence}, ${points}.${rest}`);
  }

  async #run(watch, exercise, { still = false } = {}) {
    const failed = await checkExercise(watch, exercise, this.libraries, { still });
    watch.look();
    if (failed && !still) {
      const which = ours(failed).role === "answer" ? "the answer cell" : "a cell above it";
      this.voice.say(`${exercise.name}: ${which} stopped with an error, so it was not checked.`);
    }
  }

  async #next() {
    const next = nextOpen(this.exercises, this.#place);
    if (next) {
      await this.#go(next);
    } else {
      this.#show("All exercises of this notebook are passed.");
    }
  }

  async #go(exercise, { silent = false } = {}) {
    if (exercise) {
      await goTo(this.watch, exercise);
      if (!silent) {
        this.voice.say(`${exercise.name}: ${exercise.state}`);
      }
    }
  }

  #tell(watch, names) {
    const news = watch.exercises.filter(e => names.includes(e.name));
    const { sentence, points } = totals(watch.exercises);
    const each = news.map(e => `${e.name}: ${e.state}, ${pointsOf(e)}.`).join(" ");
    this.voice.say(news.length > FEW ? `${sentence}, ${points}.` : each);
  }

  // A sentence for everybody: shown for a moment, and said.
  #show(sentence) {
    this.voice.say(sentence);
    this.libraries.Notification?.info(sentence, { autoClose: 6000 });
  }
}
