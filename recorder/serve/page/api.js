// Requests to the server's JSON API. Integers beyond 2^53 become strings, which keeps them exact.

/** An error of the server: message, where, next, status. */
export class ApiError extends Error {
  constructor(status, { error, where, next } = {}) {
    super(error || `the server answered with HTTP ${status}`);
    Object.assign(this, { status, where, next });
  }
}

const exactly = (_key, value, context) =>
  typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
    ? context.source
    : value;

/** Parse JSON; integers that a double cannot hold become strings. */
export const parse = (text) => JSON.parse(text, exactly);

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { error: "the server is unavailable", next: "is recorder serve running?" });
  }
  const text = await response.text();
  let body = {};
  try {
    body = parse(text);
  } catch {
    // A proxy may answer in HTML; the status is enough then.
  }
  if (!response.ok) throw new ApiError(response.status, body);
  return body;
}

/** Return values as a query string, without empty ones; a list repeats its name. */
export function search(values) {
  const pairs = Object.entries(values).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => [name, one]),
  );
  return new URLSearchParams(pairs.filter(([, v]) => v != null && v !== "")).toString();
}

export const get = (path, values = {}, signal) => {
  const query = search(values);
  return answer(query ? `${path}?${query}` : path, { signal });
};

export const post = (path, body, signal) =>
  answer(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
