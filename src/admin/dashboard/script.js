"use strict";
// One page, one stream: a snapshot, and what has changed a second. Elements stay where they are and get new text, so that a form keeps its focus.
const SECONDS = 300;
// A limit of so many is none.
const NONE = 16777215;
// All requests without a key of their own.
const SHARED = "_";
const limitText = (n) => n < NONE ? String(n) : "none";
const el = (id) => document.getElementById(id);
const live = { token: sessionStorage.getItem("token"), stop: null, now: null, series: new Map(), cards: new Map(), answers: new Map(), tick: 0, skew: 0 };

// ---- words and numbers
const count = (n) => n >= 1e6 ? (n / 1e6).toFixed(1) + "M" : n >= 1e4 ? (n / 1e3).toFixed(1) + "k" : String(n);
const rate = (n) => n >= 100 ? count(Math.round(n)) : n.toFixed(1);
function time(s) {
  if (s == null) return "–";
  if (s < 0.01) return (s * 1000).toFixed(1) + " ms";
  if (s < 1) return Math.round(s * 1000) + " ms";
  if (s < 60) return s.toFixed(1) + " s";
  return clock(s);
}
function clock(s) {
  s = Math.max(0, Math.round(s));
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h >= 48 ? Math.floor(h / 24) + " days" : h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}
const at = (moment) => new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

// ---- elements
function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children.filter((child) => child != null));
  return node;
}
function s(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
function say(node, text) { if (node.textContent !== text) node.textContent = text; }

function table(node, heads, rows) {
  const head = h("thead", null, h("tr", null, ...heads.map(([text, kind]) => h("th", kind ? { class: kind } : null, text))));
  node.replaceChildren(head, h("tbody", null, ...rows));
}

// ---- a limit
function card(name) {
  const c = { root: h("article", { class: "limit" }), name };
  const gauge = (label, kind) => {
    const [figure, of, bar] = [h("span"), h("span", { class: "of" }), h("i")];
    const root = h("div", { class: "gauge" }, h("div", { class: "name" }, label), h("div", { class: "figure" }, figure, " ", of), h("div", { class: "bar " + kind }, bar));
    return { root, set(value, most, dry) {
      say(figure, count(value));
      say(of, most < NONE ? `of ${count(most)}${dry ? ", not enforced" : ""}` : "no limit");
      bar.style.width = (most ? Math.min(100, value / most * 100) : 0) + "%";
    } };
  };
  c.state = h("span", { class: "state" });
  c.dry = h("span", { class: "dry", hidden: "" }, "dry run");
  c.changed = h("span", { class: "changed" });
  c.notes = h("div", { class: "notes" });
  c.inFlight = gauge("In flight", "");
  c.waiting = gauge("Waiting", "waiting");
  c.chart = chart(name);
  c.facts = {};
  const fact = (key, label) => [h("dt", null, label), c.facts[key] = h("dd")];
  const facts = h("dl", null, ...fact("admitted", "Admitted / s"), ...fact("rejected", "Rejected / s"),
    ...fact("oldest", "Oldest waiter"), ...fact("p50", "Wait p50"), ...fact("p95", "Wait p95"), ...fact("max", "Wait max"));
  facts.title = "Waits of those who had to, over the last minute; p50 and p95 as exact as the histogram's buckets";
  c.reasons = h("div");
  c.keys = h("div");
  c.control = control(name);
  c.more = h("details", { class: "more" }, h("summary", null, "Rejections, keys, change the limit"),
    h("div", null, h("section", null, h("h4", null, "Rejected in the last minute"), c.reasons), c.keys, c.control.root));
  c.root.append(h("header", null, h("h3", null, name), c.state, c.dry, c.changed), c.notes,
    h("div", { class: "body" }, h("div", { class: "gauges" }, c.inFlight.root, c.waiting.root), c.chart.root, facts), c.more);
  return c;
}

function state(limit) {
  if (limit.rejected_per_second > 0) return "shedding";
  if (limit.queue_length > 0) return "queueing";
  if (limit.in_flight >= limit.limit) return "full";
  return limit.in_flight > 0 ? "flowing" : "idle";
}

// What it only counts, and what has found itself.
function notes(limit) {
  const lines = [];
  if (limit.dry_run) lines.push(`Nothing is held back. Until now ${count(limit.dry_run_queued)} would have waited, and ${count(limit.dry_run_rejected)} been rejected.`);
  const found = limit.adaptive;
  if (found) {
    const ago = found.decided_seconds_ago < 60 ? Math.floor(found.decided_seconds_ago) + " s" : clock(found.decided_seconds_ago);
    const few = found.baseline_seconds == null ? "" : `; requests take ${time(found.baseline_seconds)} where there are few`;
    lines.push(`${found.shadow ? "Shadow, not enforced" : "Adaptive"}: ${count(found.limit)} of ${count(found.min)} to ${count(found.max)}, ${found.reason} ${ago} ago${few}`);
  }
  return lines;
}

function show(c, limit) {
  c.root.dataset.state = state(limit);
  say(c.state, state(limit));
  c.dry.hidden = !limit.dry_run;
  const lines = notes(limit);
  while (c.notes.children.length > lines.length) c.notes.lastChild.remove();
  lines.forEach((line, i) => say(c.notes.children[i] || c.notes.appendChild(h("p")), line));
  c.inFlight.set(limit.in_flight, limit.limit, limit.dry_run);
  c.waiting.set(limit.queue_length, limit.queue);
  const minute = limit.last_minute;
  say(c.facts.admitted, rate(limit.admitted_per_second));
  say(c.facts.rejected, rate(limit.rejected_per_second));
  c.facts.rejected.classList.toggle("alarm", limit.rejected_per_second > 0);
  say(c.facts.oldest, time(limit.oldest_seconds));
  say(c.facts.p50, time(minute.wait_p50_seconds));
  say(c.facts.p95, time(minute.wait_p95_seconds));
  say(c.facts.max, time(minute.wait_max_seconds));
  const reasons = Object.entries(minute.rejected).sort((a, b) => b[1] - a[1]);
  c.reasons.replaceChildren(reasons.length
    ? h("dl", null, ...reasons.flatMap(([reason, n]) => [h("dt", null, h("span", { class: "reason" }, reason)), h("dd", null, count(n))]))
    : h("p", { class: "empty" }, "None."));
  c.keys.hidden = !limit.keys.length;
  if (limit.keys.length) {
    // In flight is counted by key only where keys have caps.
    const columns = [["In flight", "in_flight"], ["Waiting", "waiting"]].filter(([, of]) => limit.keys.some((key) => key[of]));
    const rows = limit.keys.map((key) => h("tr", null, h("td", null, key.key === SHARED ? "_ (no key of their own)" : key.key), ...columns.map(([, of]) => h("td", { class: "n" }, count(key[of])))));
    const list = h("table", { class: "keys" });
    table(list, [["Key"], ...columns.map(([text]) => [text, "n"])], rows);
    const title = limit.keys.some((key) => key.key !== SHARED) ? `Busiest keys, of ${count(limit.keys_tracked)}${limit.per_key ? `; at most ${count(limit.per_key)} each` : ""}` : "No key of its own is busy";
    c.keys.replaceChildren(h("h4", null, title), list);
  }
  c.control.show(limit, c.changed);
}

function control(name) {
  const input = h("input", { type: "number", min: "1", step: "1", required: "", id: "limit-" + name });
  const [set, back] = [h("button", null, "Set for 10 minutes"), h("button", { type: "button", class: "quiet" }, "Back")];
  const [note, error] = [h("p", { class: "note" }), h("p", { class: "error", role: "alert" })];
  const root = h("form", { class: "control" }, h("label", { for: "limit-" + name }, "Limit"), h("div", { class: "row" }, input, set, back), note, error);
  let touched = false;
  input.addEventListener("input", () => { touched = true; });
  async function ask(method, body) {
    set.disabled = back.disabled = true;
    say(error, "");
    try {
      const answer = await fetch("api/v1/limits/" + encodeURIComponent(name), { method, body, headers: headers() });
      if (answer.ok) touched = false;
      else say(error, (await answer.json().catch(() => null))?.detail || `It answered ${answer.status}.`);
    } catch { say(error, "It can't be reached."); }
    set.disabled = back.disabled = false;
  }
  root.addEventListener("submit", (event) => {
    event.preventDefault();
    ask("PATCH", JSON.stringify({ limit: Number(input.value), for: "10m" }));
  });
  back.addEventListener("click", () => ask("DELETE"));
  return { root, show(limit, changed) {
    if (!touched && document.activeElement !== input) input.value = limit.limit;
    const over = limit.override;
    back.hidden = !over;
    say(back, `Back to ${limit.configured.limit}`);
    if (!over) {
      say(changed, "");
      say(note, "It then goes back to the configuration by itself.");
      return;
    }
    const until = over.until ? `until ${at(over.until)}, ${clock((Date.parse(over.until) - Date.now() - live.skew) / 1000)} left` : "until it is taken back";
    const what = [over.limit && `limit ${limitText(over.limit)}`, over.queue != null && `queue ${over.queue}`, over.queue_timeout && `queue timeout ${over.queue_timeout}`,
      over.per_key && `per key ${over.per_key}`, ...Object.entries(over.keys || {}).map(([key, n]) => `key ${key} ${n}`), over.dry_run != null && (over.dry_run ? "dry run" : "no dry run")];
    say(changed, `${what.filter(Boolean).join(", ")} ${until}`);
    say(note, `Configured: ${limit.configured.limit}. Changed by ${over.by}.`);
  } };
}

// ---- five minutes: who is in flight, and on top of that who waits
function chart(name) {
  const svg = s("svg", { viewBox: `0 0 ${SECONDS} 100`, preserveAspectRatio: "none", role: "img", "aria-label": "In flight and waiting over the last five minutes" });
  for (let minute = 60; minute < SECONDS; minute += 60) svg.append(s("path", { class: "minute", d: `M${minute} 0V100` }));
  const part = (kind) => { const path = s("path", { class: kind }); svg.append(path); return path; };
  const [waits, flow, waitsLine, flowLine, limitLine, sheds] = ["waits", "flow", "waits-line", "flow-line", "limit-line", "sheds"].map(part);
  const cursor = s("line", { class: "cursor", y1: 0, y2: 100, visibility: "hidden" });
  svg.append(cursor);
  const label = h("span", { class: "top-label" });
  const keys = h("span", null, ...[["In flight", ""], ["Waiting", "k-wait"], ["Rejected", "k-shed"], ["Limit", "k-limit"]].map(([text, kind]) => h("span", { class: "key " + kind }, text)));
  const reading = h("span");
  const plot = h("div", { class: "plot" }, svg, label);
  const root = h("figure", null, plot, h("figcaption", null, keys, reading));
  let hover = null, inView = true;
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    hover = Math.round((event.clientX - box.left) / box.width * SECONDS);
    draw();
  });
  plot.addEventListener("pointerleave", () => { hover = null; draw(); });
  new IntersectionObserver(([entry]) => { inView = entry.isIntersecting; if (inView) draw(); }).observe(root);

  function draw() {
    const samples = live.series.get(name) || [];
    if (!inView || !samples.length) return;
    const most = Math.max(...samples.map((p) => Math.max(p.limit < NONE ? p.limit * 1.08 : 0, p.inFlight + p.queue)), 1);
    const y = (n) => (100 - n / most * 96).toFixed(1);
    const x = (p) => SECONDS - (live.tick - p.tick);
    const line = (value) => samples.map((p, i) => (i ? "L" : "M") + x(p) + " " + y(value(p))).join("");
    const under = (path, floor) => path + [...samples].reverse().map((p) => "L" + x(p) + " " + y(floor(p))).join("") + "Z";
    const [top, demand] = [line((p) => p.inFlight), line((p) => p.inFlight + p.queue)];
    flow.setAttribute("d", under(top, () => 0));
    flowLine.setAttribute("d", top);
    waits.setAttribute("d", under(demand, (p) => p.inFlight));
    waitsLine.setAttribute("d", samples.some((p) => p.queue) ? demand : "");
    limitLine.setAttribute("d", samples.map((p, i) => i ? `H${x(p)}V${y(p.limit)}` : `M${x(p)} ${y(p.limit)}`).join(""));
    sheds.setAttribute("d", samples.filter((p) => p.rejected).map((p) => `M${x(p)} 100v-5`).join(""));
    say(label, count(Math.round(most)));
    const p = hover == null ? null : samples.reduce((best, q) => Math.abs(x(q) - hover) < Math.abs(x(best) - hover) ? q : best);
    cursor.setAttribute("visibility", p ? "visible" : "hidden");
    if (p) {
      cursor.setAttribute("x1", x(p));
      cursor.setAttribute("x2", x(p));
    }
    say(reading, p ? `${clock(live.tick - p.tick)} ago: ${p.inFlight} of ${limitText(p.limit)} in flight, ${p.peak} at most, ${p.queue} waiting, ${p.admitted} admitted, ${p.rejected} rejected` : "last 5 minutes");
  }
  return { root, draw };
}

// ---- what arrives
function take(name, data) {
  if (name === "history") {
    live.series = new Map(Object.entries(data.limits).map(([limit, columns]) => [limit, samples(data.tick, columns)]));
    live.tick = data.tick;
  } else if (name === "snapshot") snapshot(data);
  else if (name === "changes") {
    // Of the limits there are those of which something is different, with what it is.
    const changed = new Map(data.limits.map((limit) => [limit.name, limit]));
    const limits = live.now.limits.map((limit) => changed.has(limit.name) ? { ...limit, ...changed.get(limit.name) } : limit);
    snapshot({ ...live.now, ...data, limits });
  }
}

// A column has `[value, times]` for repetitions, and is missing where it is all zero.
function samples(tick, columns) {
  const column = (name) => (columns[name] || []).flatMap((n) => Array.isArray(n) ? Array(n[1]).fill(n[0]) : n);
  const [limits, inFlight, peak, queue, admitted, rejected] = ["limit", "in_flight", "peak", "queue_length", "admitted", "rejected"].map(column);
  return limits.map((limit, i) => ({ tick: tick - limits.length + 1 + i, limit, inFlight: inFlight[i] || 0, peak: peak[i] || 0,
    queue: queue[i] || 0, admitted: admitted[i] || 0, rejected: rejected[i] || 0 }));
}

function snapshot(data) {
  live.skew = Date.parse(data.at) - Date.now();
  const fresh = data.tick > live.tick;
  live.tick = data.tick;
  live.now = data;
  el("plain").hidden = true;
  el("live").hidden = false;
  const names = new Set(data.limits.map((limit) => limit.name));
  for (const [name, c] of live.cards) if (!names.has(name)) { c.root.remove(); live.cards.delete(name); live.series.delete(name); }
  for (const limit of data.limits) {
    const series = live.series.get(limit.name) || [];
    live.series.set(limit.name, series);
    if (fresh) series.push({ tick: data.tick, inFlight: limit.in_flight, limit: limit.limit, queue: limit.queue_length, ...limit.last_second });
    while (series.length && series[0].tick <= data.tick - SECONDS) series.shift();
    let c = live.cards.get(limit.name);
    if (!c) {
      live.cards.set(limit.name, c = card(limit.name));
      c.more.open = data.limits.length <= 2;
      el("limits").append(c.root);
    }
    // What is left of an override is always different.
    if (c.shown !== limit || limit.override) show(c, limit);
    c.shown = limit;
    c.chart.draw();
  }
  const sum = (key) => data.limits.reduce((total, limit) => total + limit[key], 0);
  say(el("overall"), `${data.version} · up ${clock(data.uptime_seconds)} · ${count(data.connections)} connections${data.draining ? " · draining" : ""}`);
  const waiting = sum("queue_length");
  document.title = waiting ? `${waiting} waiting – sluicegate` : "sluicegate";
  upstreams(data.upstreams);
  rejections(data.rejections);
  document.body.dataset.tick = data.tick;
}

// How often an endpoint answers, over the last ten seconds: of one that is silent, the latency is that of its last answers.
function pace(name, answers) {
  let counts = live.answers.get(name) || [];
  const last = counts[counts.length - 1];
  if (last && (last.tick > live.tick || last.answers > answers)) counts = [];
  if (!counts.length || last.tick < live.tick) counts = [...counts, { tick: live.tick, answers }].slice(-11);
  live.answers.set(name, counts);
  const seconds = live.tick - counts[0].tick;
  return seconds ? rate((answers - counts[0].answers) / seconds) : "–";
}

function upstreams(list) {
  const columns = [["state", "State"], ["in_flight", "In flight", "n"], ["slots", "Slots", "n"], ["answers", "Answers / s", "n"], ["latency_ms", "Latency", "n"], ["errors", "Errors", "n"]]
    .filter(([key]) => list.some((upstream) => upstream.endpoints.some((endpoint) => endpoint[key] != null)));
  const value = (endpoint, key, name) => endpoint[key] == null ? "–" : key === "latency_ms" ? time(endpoint[key] / 1000)
    : key === "answers" ? pace(`${name} ${endpoint.endpoint}`, endpoint.answers)
    : key === "state" && endpoint.drained_by ? `${endpoint.state} by ${endpoint.drained_by}`
    : key === "state" && endpoint.state === "paused" ? `paused for ${Math.ceil(endpoint.paused_for_seconds)} s` : String(endpoint[key]);
  const rows = list.flatMap((upstream) => upstream.endpoints.map((endpoint, i) => h("tr", null,
    h("td", { class: "name" }, i ? "" : upstream.name), h("td", { class: "endpoint" }, endpoint.endpoint),
    ...columns.map(([key, name, kind]) => h("td", kind ? { class: kind, "data-name": name } : null, value(endpoint, key, upstream.name))),
    h("td", { class: "mute routes" }, i ? "" : upstream.routes.join(", ")))));
  table(el("upstreams"), [["Name"], ["Endpoint"], ...columns.map(([, text, kind]) => [text, kind]), ["Routes"]], rows);
}

let newest = -1;
function rejections(list) {
  if ((list[0]?.number ?? 0) === newest) return;
  newest = list[0]?.number ?? 0;
  const row = (r) => h("tr", null, h("td", { class: "time" }, at(r.at)), h("td", null, h("span", { class: "reason" }, r.reason)), h("td", null, r.limit || r.route),
    h("td", { class: "asked" }, r.path ? `${r.method} ${r.path}` : r.route), h("td", { class: "why" }, r.why),
    h("td", { class: "id", title: r.client_ip ? `${r.request_id} from ${r.client_ip}` : r.request_id }, r.request_id));
  if (list.length) table(el("rejections"), [["At"], ["Reason"], ["Limit"], ["Request"], ["Why"], ["Request id"]], list.map(row));
  else el("rejections").replaceChildren(h("caption", { class: "empty" }, "None yet."));
}

// ---- the stream
const headers = () => live.token ? { authorization: "Bearer " + live.token } : {};
function link(is, text) {
  el("link").hidden = false;
  el("link").dataset.is = is;
  say(el("link-text"), text);
}

async function follow(signal) {
  const answer = await fetch("api/v1/events", { headers: headers(), signal, cache: "no-store" });
  if (answer.status === 401) return login(live.token ? "That is not it." : "");
  if (answer.status === 403) return refused((await answer.json()).detail);
  if (!answer.ok) throw new Error("it answered " + answer.status);
  el("login").hidden = true;
  if (live.token) sessionStorage.setItem("token", live.token);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "", silence;
  // Who has said nothing for so long is gone, whatever the connection looks like.
  const heard = () => { clearTimeout(silence); silence = setTimeout(() => reader.cancel(), 8000); };
  try {
    for (heard(); ;) {
      const { value, done } = await reader.read();
      if (done) return true;
      heard();
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const event of events) {
        const [, name, data] = event.match(/^event: (\w+)\ndata: (.*)$/) || [];
        if (name) take(name, JSON.parse(data));
      }
      link("live", "live");
    }
  } finally { clearTimeout(silence); }
}

async function run() {
  live.stop?.abort();
  const stop = live.stop = new AbortController();
  for (let pause = 1; !stop.signal.aborted; pause = Math.min(pause * 2, 10)) {
    try {
      const ended = await follow(stop.signal);
      if (!ended) return;
      pause = 1;
    } catch (error) { if (stop.signal.aborted) return; }
    link("lost", "not reached, trying again");
    await new Promise((resolve) => setTimeout(resolve, pause * 1000));
  }
}

function login(text) {
  live.token = null;
  sessionStorage.removeItem("token");
  only("login");
  say(el("login-error"), text);
  link("lost", "not logged in");
}
// No token would help. The page says what would, if that was known when it was sent.
function refused(text) {
  if (!el("refused")) el("plain").replaceChildren(h("p", { id: "refused", class: "card" }, text));
  only("plain");
  link("lost", "not let in");
}
function only(shown) { for (const id of ["plain", "login", "live"]) el(id).hidden = id !== shown; }
el("login").addEventListener("submit", (event) => {
  event.preventDefault();
  live.token = el("token").value;
  el("token").value = "";
  run();
});
// A browser has six connections for one host: those who don't look leave theirs to those who do.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return run();
  live.stop?.abort();
  link("", "paused");
});
run();
