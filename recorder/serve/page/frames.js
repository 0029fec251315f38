// Drawing at most once per animation frame, however many updates came meanwhile.

const due = new Set();
let asked = false;

/** Run a function in the next animation frame, once. */
export function draw(work) {
  due.add(work);
  if (!asked) {
    asked = true;
    requestAnimationFrame(run);
  }
}

function run() {
  asked = false;
  const now = [...due];
  due.clear();
  for (const work of now) work();
}
