// Runs an exercise's cells as a press on Run would, one after the other, and brings the card into view.
//
// The active cell, the selection and the focus stay where they are: who is typing goes on typing.

import { cellsOf, ours, stopped } from "./exercises.js";

const ROOM = 320;  // px of a card that are brought into sight: its title, its points, its message
const MARGIN = 12;

// Gives the cell that stopped with an error before the check, which then would judge old code, or null.
// With `still` the view stays where it is, too.
export async function checkExercise(watch, exercise, { NotebookActions, dialogs, translator }, { still = false } = {}) {
  const { content: notebook, sessionContext } = watch.panel;
  const cells = cellsOf(watch.model);
  const given = cells
    .slice(0, exercise.place)
    .filter(cell => ours(cell).role === "given" && !watch.knownToKernel(cell));  // imports, after a restart
  const widget = cell => notebook.widgets.find(one => one.model === cell);
  const run = async some => {
    const editing = notebook.mode === "edit";
    const done = NotebookActions.runCells(notebook, some.map(widget), sessionContext, dialogs, translator);
    if (editing) {
      notebook.mode = "edit";  // running leaves it
    }
    return done;
  };
  const show = cell => (still ? null : reveal(notebook, widget(cell)));
  const check = cells[exercise.check];
  const before = [...given, ...exercise.answers.map(place => cells[place])];
  if (before.length && !(await run(before))) {
    const failed = before.find(stopped) ?? before.at(-1);
    await show(failed);
    return failed;
  }
  await run([check]);
  await show(check);
  return null;
}

// Scrolls only as far as needed to see the beginning of what stands below the cell.
export async function reveal(notebook, cell) {
  if (!cell || cell.isDisposed) {
    return;
  }
  if (!cell.inViewport) {
    await notebook.scrollToItem(notebook.widgets.indexOf(cell), "smart").catch(() => {});
  }
  await drawn(cell);
  const scroller = scrollerOf(cell.node);
  if (!scroller || !cell.outputArea) {
    return;
  }
  const [card, view] = [cell.outputArea.node, scroller].map(node => node.getBoundingClientRect());
  const wanted = Math.min(card.height, ROOM, view.height - 2 * MARGIN);
  if (card.top < view.top) {
    scroller.scrollTop += card.top - MARGIN - view.top;
  } else if (card.top + wanted > view.bottom) {
    scroller.scrollTop += card.top + wanted + MARGIN - view.bottom;
  }
}

// Until the outputs have been laid out; a window in the background draws nothing, so not for ever.
async function drawn(cell) {
  for (let i = 0; i < 10; i += 1) {
    await Promise.race([new Promise(requestAnimationFrame), new Promise(done => setTimeout(done, 100))]);
    if (cell.outputArea?.node.offsetHeight > 0) {
      return;
    }
  }
}

function scrollerOf(node) {
  for (let at = node.parentElement; at; at = at.parentElement) {
    if (at.scrollHeight > at.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(at).overflowY)) {
      return at;
    }
  }
  return null;
}

// Makes a cell the active one and shows it, ready for Enter.
export async function goTo(watch, exercise) {
  const notebook = watch.panel.content;
  notebook.deselectAll();
  notebook.activeCellIndex = exercise.place;
  notebook.mode = "command";
  await notebook.scrollToItem(exercise.place, "start").catch(() => {});
  notebook.activate();
}
