// Draws at most once per animation frame, however many updates there are.

const due = new Set();
let requested = false;

/** Run a function in the next animation frame, once. */
export function draw(work) {
  due.add(work);
  if (!requested) {
    requested = true;
    requestAnimationFrame(run);
  }
}

function run() {
  requested = false;
  const now = [...due];
  due.clear();
  for (const work of now) work();
}
