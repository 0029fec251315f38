// A query's form, built from its parameters.

import { el, field, select } from "./dom.js";

const TIMES = /^TIMESTAMP/i;
const SPANS = /^INTERVAL$/i;
const NUMBERS = /^(DOUBLE|BIGINT|INTEGER)$/i;
const AGO = ["15m ago", "1h ago", "6h ago", "1d ago", "7d ago"];
let lists = 0;

/** Create the control of a parameter; an empty control means its default. */
function control({ name, type, default: standard, values }) {
  const placeholder = standard == null || /^null$/i.test(standard) ? "any" : String(standard);
  if (/^BOOLEAN$/i.test(type)) return select([["", `default (${placeholder})`], ["true", "yes"], ["false", "no"]], "", { name });
  const id = `choices-${++lists}`;
  const choices = values ?? (TIMES.test(type) ? AGO : SPANS.test(type) ? ["1 minute", "5 minutes", "1 hour", "1 day"] : []);
  const input = el("input", {
    name,
    placeholder,
    autocomplete: "off",
    spellcheck: "false",
    inputmode: NUMBERS.test(type) ? "decimal" : null,
    list: choices.length ? id : null,
  });
  const list = choices.length > 0 && el("datalist", { id }, ...choices.map((value) => el("option", { value })));
  return [input, list];
}

/** Return {form, values(), fill(values)} for a query's parameters. */
export function paramForm(params, onSubmit) {
  const fields = params.map((param) => {
    const [input, list] = [control(param)].flat();
    return el("div", {}, field(param.name, input, param.description), list || null, param.description && el("p", { class: "hint dim", text: param.description }));
  });
  const form = el("form", { class: "params" }, ...fields, el("div", { class: "submit" }, el("button", { type: "submit", class: "primary", text: "Run" })));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    onSubmit();
  });
  const inputs = () => params.map(({ name }) => form.elements[name]);
  return {
    form,
    values: () => Object.fromEntries(inputs().map((i) => [i.name, i.value.trim()]).filter(([, value]) => value !== "")),
    fill: (values) => inputs().forEach((i) => (i.value = values[i.name] ?? "")),
  };
}
