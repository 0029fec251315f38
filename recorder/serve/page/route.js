// The address: a view and its inputs as #view/part?name=value.

/** Return the {view, part, params} of a hash. */
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

/** Return the hash of a view, without empty values. */
export function hash(view, part = "", params = {}) {
  const given = Object.entries(params).filter(([, value]) => value != null && value !== "");
  const query = new URLSearchParams(given).toString();
  return `#${view}${part ? `/${encodeURIComponent(part)}` : ""}${query ? `?${query}` : ""}`;
}

/** Set the address without adding an entry to the history. */
export function replace(view, part, params) {
  history.replaceState(null, "", hash(view, part, params));
}
