// Creation of elements without markup: texts of a feed become text nodes, never HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Create an element. `props`: class, text, on: {event: listener}, data: {…}; others are attributes. */
export function el(tag, props = {}, ...children) {
  return build(document.createElement(tag), props, children);
}

/** Create an SVG element, with the same arguments. */
export function svg(tag, props = {}, ...children) {
  return build(document.createElementNS(SVG, tag), props, children);
}

function build(node, { on, data, text, class: names, ...attributes }, children) {
  if (names) node.setAttribute("class", names);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  for (const [name, listener] of Object.entries(on ?? {})) node.addEventListener(name, listener);
  for (const [name, value] of Object.entries(data ?? {})) node.dataset[name] = value;
  if (text != null) node.textContent = text;
  node.append(...children.filter((child) => child != null && child !== false));
  return node;
}

/** Set a node's text if it changed: an unchanged node costs no layout. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set an attribute if it changed; null removes it. */
export function setAttr(node, name, value) {
  if (value == null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Create a labelled field of a form. */
export function field(label, control, hint) {
  return el("label", { class: "field", title: hint }, el("span", { text: label }), control);
}

/** Create a <select> from [value, label] pairs. */
export function select(choices, chosen, props = {}) {
  const options = choices.map(([value, label]) =>
    el("option", { value, text: label, selected: value === chosen }),
  );
  return el("select", props, ...options);
}

/** Create the text that an empty view shows. */
export function empty(words, hint) {
  return el("div", { class: "empty" }, el("p", { text: words }), hint && el("p", { class: "dim", text: hint }));
}

/** Create an error message: what happened, where, what to do next. */
export function problem(error) {
  return el(
    "div",
    { class: "error", role: "alert" },
    el("p", {}, el("strong", { text: "✗ " }), error.message),
    error.where && el("p", { class: "dim", text: `in ${error.where}` }),
    error.next && el("p", { text: `→ ${error.next}` }),
    error.status === 401 && el("p", {}, el("a", { href: "/login", text: "Log in" })),
  );
}
