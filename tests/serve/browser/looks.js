// Runs in the page; gives a list of complaints about its look.
() => {
  const complaints = [];
  const name = (node) => `${node.tagName.toLowerCase()}.${String(node.className?.baseVal ?? node.className)} "${node.textContent.trim().slice(0, 40)}"`;
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) complaints.push(`the page is ${root.scrollWidth - root.clientWidth} px too wide`);
  const shown = (node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const unseen = (node) => node.closest(".unseen, .skip, option, svg, .u-over, noscript");

  // The part of a rectangle that its scrolling ancestors let through.
  const clip = (rect, node) => {
    let { left, right, top, bottom } = rect;
    for (let up = node; up && up !== document.body; up = up.parentElement) {
      const style = getComputedStyle(up);
      if (style.clipPath !== "none" || style.position === "absolute" && up.offsetWidth <= 1) return null;
      if (style.overflowX === "visible" && style.overflowY === "visible") continue;
      const box = up.getBoundingClientRect();
      left = Math.max(left, box.left); right = Math.min(right, box.right);
      top = Math.max(top, box.top); bottom = Math.min(bottom, box.bottom);
    }
    return right - left > 1 && bottom - top > 1 ? { left, right, top, bottom } : null;
  };
  const sticky = (node) => {
    for (let up = node; up && up !== document.body; up = up.parentElement) if (getComputedStyle(up).position === "sticky") return true;
    return false;
  };

  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || unseen(parent) || !shown(parent)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    let seen = false;
    for (const rect of range.getClientRects()) {
      const part = clip(rect, parent);
      if (part) texts.push({ ...part, parent });
      seen ||= part !== null;
    }
    if (!seen) continue;
    const cut = getComputedStyle(parent);
    const tooWide = parent.scrollWidth > parent.clientWidth + 1 && cut.overflowX !== "visible" && cut.display !== "inline";
    const scrolls = /auto|scroll/.test(cut.overflowX);
    if (tooWide && !scrolls && !parent.title) complaints.push(`cut without a title: ${name(parent)}`);
    const tooHigh = parent.scrollHeight > parent.clientHeight + 3 && cut.overflowY === "hidden" && cut.webkitLineClamp === "none" && cut.display !== "inline";
    if (tooHigh && !parent.title) complaints.push(`cut below: ${name(parent)}`);
  }
  texts.sort((a, b) => a.top - b.top);
  for (let i = 0; i < texts.length; i++) {
    const a = texts[i];
    for (let j = i + 1; j < texts.length && texts[j].top < a.bottom - 3; j++) {
      const b = texts[j];
      if (a.parent === b.parent) continue;
      const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const y = Math.min(a.bottom, b.bottom) - b.top;
      if (x > 2 && y > 3 && !sticky(a.parent) && !sticky(b.parent)) complaints.push(`${name(a.parent)} lies on ${name(b.parent)}`);
    }
  }
  return complaints.slice(0, 20);
}
