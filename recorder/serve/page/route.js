// Views and their inputs live in the address: #view/part?name=value.

/** {view, part, params} of a hash. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  const [view = "", ...rest] = path.split("/");
  return { view, part: decode(rest.join("/")), params: Object.fromEntries(new URLSearchParams(query)) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The hash of a view; empty values are left out. */
export function hash(view, part = "", params = {}) {
  const given = Object.entries(params).filter(([, value]) => value != null && value !== "");
  const query = new URLSearchParams(given).toString();
  return `#${view}${part ? `/${encodeURIComponent(part)}` : ""}${query ? `?${query}` : ""}`;
}

/** Put inputs into the address without a step in the history. */
export function replace(view, part, params) {
  history.replaceState(null, "", hash(view, part, params));
}
