// What a notebook says of its exercises: from the cells' metadata, sources and outputs, and nothing else.
//
// It changes nothing. The words are those of autograder/render/words.py; the state of a checked exercise is
// read off its card, where Python wrote it, so that there is one place that decides it.

export const REPORT_MIME = "application/vnd.autograder.report+json";

// The symbols of words.py, and two states that only an unchecked exercise has. The word always stands beside.
export const SYMBOLS = {
  passed: "✓",
  "not yet": "○",
  error: "!",
  "to do": "…",
  "could not run": "?",
  "not checked": "–"
};

const STUB = /^\s*raise NotImplementedError\b/m;
const NEW_PART = /^#{1,2} /;  // a heading of the first two levels begins another part of the notebook
const HINTS = /^\s*<details/;

export const cellsOf = model => Array.from({ length: model.cells.length }, (_, i) => model.cells.get(i));
export const ours = cell => cell.getMetadata("autograder") ?? {};
export const sourceOf = cell => cell.sharedModel.getSource();
const outputsOf = ({ outputs }) => Array.from({ length: outputs?.length ?? 0 }, (_, i) => outputs.get(i));

// A short fingerprint of code (FNV-1a), to see whether an answer is still the one that was checked.
export function fingerprint(sources) {
  let hash = 0x811c9dc5;
  for (const letter of sources.map(source => source.trim()).join("\n")) {
    hash = Math.imul(hash ^ letter.codePointAt(0), 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, "0");
}

// The results in a cell's outputs, each list with the output it stands in. What is no result is passed over.
export function reportsIn(cell) {
  return outputsOf(cell).flatMap(output => {
    const exercises = output.data?.[REPORT_MIME]?.exercises;
    const named = Array.isArray(exercises) ? exercises.filter(one => typeof one?.name === "string") : [];
    return named.length ? [{ output, results: named }] : [];
  });
}

export const stopped = cell => outputsOf(cell).find(output => output.type === "error");

const cards = new WeakMap();  // output -> what its card says; outputs do not change, they are replaced

// "passed", "not yet", ... of each exercise of a card. The page is parsed apart: nothing in it runs or loads.
function statesOnCard(output) {
  if (!cards.has(output)) {
    cards.set(output, readCard(output));
  }
  return cards.get(output);
}

function readCard(output) {
  const html = output.data["text/html"];
  const page = new DOMParser().parseFromString(Array.isArray(html) ? html.join("") : html ?? "", "text/html");
  const found = page.querySelectorAll("[data-exercise][data-state]");
  return new Map(Array.from(found, card => [card.dataset.exercise, card.dataset.state]));
}

function stateOf(result, output) {
  const said = statesOnCard(output).get(result.name);
  if (said in SYMBOLS) {
    return said;
  }
  return { passed: "passed", could_not_run: "could not run" }[result.outcome] ?? "not yet";
}

const number = (value, otherwise) => (Number.isFinite(value) ? value : otherwise);

// The newest result of every exercise in the notebook: {name: {state, score, when}}.
function newestOf(cells, when) {
  const newest = new Map();
  for (const cell of cells) {
    for (const { output, results } of reportsIn(cell)) {
      for (const result of results) {
        if (!newest.has(result.name) || newest.get(result.name).when <= when(cell)) {
          const score = number(result.score, 0);
          newest.set(result.name, { state: stateOf(result, output), score, when: when(cell) });
        }
      }
    }
  }
  return newest;
}

// All exercises in order. `when(cell)` tells which of two cells ran later; `checked` maps a name to the
// fingerprint of the answer that its last check saw.
export function exercisesOf(model, { when, checked = {} }) {
  const cells = cellsOf(model);
  const newest = newestOf(cells, when);
  const places = cells.map((_, place) => place);
  const checks = cells.filter(cell => ours(cell).role === "check" && typeof ours(cell).exercise === "string");
  return checks
    .filter((cell, i) => i === checks.findIndex(other => ours(other).exercise === ours(cell).exercise))  // not copies
    .map(cell => {
      const { exercise: name, points, bonus } = ours(cell);
      const answers = places.filter(i => ours(cells[i]).role === "answer" && ours(cells[i]).exercise === name);
      const written = answers.map(i => cells[i]);
      return {
        name,
        points: number(points, 0),
        bonus: bonus === true,
        answers,  // one; several when the learner has split it, none when it is lost
        check: cells.indexOf(cell),
        place: answers[0] ?? cells.indexOf(cell),
        ...standing(written, cell, newest.get(name), when),
        changed: newest.has(name) && written.length > 0 && name in checked
          && checked[name] !== fingerprint(written.map(sourceOf))
      };
    });
}

// State, points and, where it needs one, a sentence.
function standing(answers, check, result, when) {
  const since = result?.when ?? -1;
  if (answers.some(answer => stopped(answer) && when(answer) > since)) {
    return { state: "error", score: 0, why: "The answer cell stopped with an error." };
  }
  if (result) {
    return { state: result.state, score: result.score, why: "" };
  }
  if (stopped(check)) {
    return { state: "could not run", score: 0, why: "The check cell stopped with an error." };
  }
  return { state: answers.some(answer => STUB.test(sourceOf(answer))) ? "to do" : "not checked", score: 0, why: "" };
}

// The exercise that the cell number `index` belongs to, or null. Text before an answer belongs to it, up to
// the heading of its part; hints belong to the check above them, and so does the rest of a part without
// another exercise.
export function exerciseAt(model, exercises, index) {
  const cells = cellsOf(model);
  const inside = exercises.find(e => e.place <= index && index <= e.check);
  if (inside) {
    return inside;
  }
  const begins = i => cells[i].type === "markdown" && NEW_PART.test(sourceOf(cells[i]));
  const apart = (from, to) => cells.slice(from + 1, to + 1).some((_, i) => begins(from + 1 + i));
  const above = exercises.filter(e => e.check < index && !apart(e.check, index)).at(-1);
  if (above && cells.slice(above.check + 1, index + 1).every(cell => HINTS.test(sourceOf(cell)))) {
    return above;
  }
  const below = exercises.find(e => e.place > index && !apart(index, e.place));
  return below ?? above ?? null;
}

// The one to do next after cell number `index`: not passed, or changed since; from the top again at the end.
export function nextOpen(exercises, index) {
  const open = exercises.filter(e => e.state !== "passed" || e.changed);
  return open.find(e => e.place > index) ?? open[0] ?? null;
}

// At most two digits after the point, never rounded up to a score that was not reached.
export const points = value => String(Math.floor(value * 100 + 1e-4) / 100);

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

export function pointsOf(exercise) {
  const words = exercise.bonus ? "bonus point" : "point";
  return `${points(exercise.score)} of ${points(exercise.points)} ${words}${exercise.points === 1 ? "" : "s"}`;
}

export function totals(exercises) {
  const core = exercises.filter(e => !e.bonus);
  const passed = core.filter(e => e.state === "passed").length;
  const sum = (of, what) => of.reduce((total, e) => total + e[what], 0);
  const [score, most] = [sum(exercises, "score"), sum(core, "points")];
  return {
    passed,
    count: core.length,
    sentence: `${passed} of ${plural(core.length, "exercise")} passed`,
    points: `${points(score)} of ${points(most)} point${most === 1 ? "" : "s"}`
  };
}
