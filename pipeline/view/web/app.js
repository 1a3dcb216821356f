// The page: state, keys, selection, and which part is shown.
"use strict";
(() => {
  const { html, render, useState, useEffect, useMemo, useRef } = htmPreact, { filters, state, Grid, Panel, Picture } = SynthView;
  const all = SynthView.get("sets").keys.map(key => new SynthView.PictureSet(key));
  const sets = all.filter(one => one.key !== "real"), real = all.find(one => one.key === "real");
  const told = SynthView.get("sets");
  const FILTERS = Object.keys(filters.NONE);
  const TABS = [["grid", "Pictures"], ["charts", "Distributions"], ["coverage", "Coverage"]];
  const number = value => value.toLocaleString("en");

  function useAddress() {
    const [current, setCurrent] = useState(state.read);
    useEffect(() => {
      const read = () => setCurrent(state.read());
      addEventListener("hashchange", read);
      addEventListener("popstate", read);
      return () => { removeEventListener("hashchange", read); removeEventListener("popstate", read); };
    }, []);
    const change = (values, pushes = false) => setCurrent(old => {
      const next = { ...old, ...values };
      state.write(next, pushes);
      return next;
    });
    return [current, change];
  }

  // A list that `synth data filter --only`, `synth train --only` and `synth evaluate --only` take.
  // Returns how many names no line can hold.
  function exported(set, selection) {
    const ids = [...selection].sort((a, b) => a - b).map(place => set.id(place));
    const lines = ids.filter(id => !/[\r\n]/.test(id) && id === id.trim());
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.map(line => `${line}\n`).join("")], { type: "text/plain" }));
    link.download = "selection.txt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    return ids.length - lines.length;
  }

  function Help({ onClose }) {
    const box = useRef(null);
    useEffect(() => box.current.showModal(), []);
    const keys = [["← ↑ → ↓", "move between pictures"], ["Enter", "open the picture"], ["Space", "select it; in an open picture too"],
      ["Shift + click", "select all up to there"], ["Esc", "back to all pictures; clears the search"], ["/", "search"], ["?", "this help"],
      ...Picture.LAYERS.map(([, key, label]) => [key, `switch ${label} on an open picture`])];
    return html`<dialog ref=${box} onClose=${onClose} aria-label="keys"><table>${keys.map(([key, text]) =>
      html`<tr><td><kbd>${key}</kbd></td><td>${text}</td></tr>`)}</table><form method="dialog"><button>Close</button></form></dialog>`;
  }

  function App() {
    const [current, change] = useAddress(), [ready, setReady] = useState(0), [problem, setProblem] = useState(""), [help, setHelp] = useState(false);
    const [cursor, setCursor] = useState(-1), anchor = useRef(-1), wide = matchMedia("(min-width: 52rem)").matches;
    const set = sets.find(one => one.key === current.set) ?? sets[0], other = sets.find(one => one !== set);
    // A name of an address is looked up among ours alone.
    const tab = TABS.some(([name]) => name === current.tab) ? current.tab : "grid";
    const selections = useRef(new Map()), [, redraw] = useState(0);
    if (!selections.current.has(set.key)) selections.current.set(set.key, state.lengthened(current.pick, set.count));
    const selection = selections.current.get(set.key);
    useEffect(() => {
      Promise.all(all.map(async one => { await one.loadBoxes(); if (one.key === "a" && told.found) await one.loadFound(told.found); })).then(() => setReady(1), error => setProblem(error.message));
    }, []);
    const filter = useMemo(() => Object.fromEntries(FILTERS.map(name => [name, current[name]])), FILTERS.map(name => current[name]));
    const keep = filter.picked ? selection.size : 0;
    const places = useMemo(() => filters.apply(set, filter, selection), [set, filter, ready, keep]);
    const otherPlaces = useMemo(() => (other ? filters.apply(other, { ...filter, picked: "" }, new Set()) : []), [other, filter, ready]);
    const open = current.pic ? set.find(current.pic) : -1, shown = new Set(current.layers.split(",").filter(Boolean));
    const at = useMemo(() => (open >= 0 ? places.indexOf(open) : -1), [places, open]);
    const pair = open >= 0 && other ? { set: other, place: other.find(current.pic) } : null;

    const filtered = values => { setCursor(-1); anchor.current = -1; change(values); };
    const picks = () => { redraw(one => one + 1); change({ pick: state.shortened(selection) }); };
    const pick = (to, range) => {
      const from = range && anchor.current >= 0 ? anchor.current : to, adds = !selection.has(places[to]);
      for (let i = Math.min(from, to); i <= Math.max(from, to); i++) selection[adds ? "add" : "delete"](places[i]);
      anchor.current = to;
      picks();
    };
    const show = place => change({ pic: place >= 0 ? set.id(place) : "" }, true);
    const step = by => { if (places[at + by] !== undefined) { setCursor(at + by); change({ pic: set.id(places[at + by]) }); } };
    const layer = name => {
      const next = new Set(shown);
      if (!next.delete(name)) next.add(name);
      change({ layers: [...next].join(",") });
    };
    const toggle = place => { if (!selection.delete(place)) selection.add(place); picks(); };

    const keys = useRef(null);
    keys.current = event => {
      if (event.ctrlKey || event.metaKey || event.altKey || help) return;
      const target = event.target, types = target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");
      if (event.key === "Escape") {
        if (types) { target.blur(); if (target.id === "search") filtered({ q: "" }); } else if (open >= 0) show(-1);
        return;
      }
      if (types || (event.key === " " && target.matches("button, input, summary"))) return;
      const [key] = Picture.LAYERS.find(([, letter]) => letter === event.key) ?? [];
      if (event.key === "/") document.getElementById("search")?.focus();
      else if (event.key === "?") setHelp(true);
      else if (open >= 0 && key) layer(key);
      else if (open >= 0 && event.key === "ArrowLeft") step(-1);
      else if (open >= 0 && event.key === "ArrowRight") step(1);
      else if (open >= 0 && event.key === " ") toggle(open);
      else if (open < 0 && tab === "grid" && !target.matches("input, summary, button")) {
        const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -SynthView.columns, ArrowDown: SynthView.columns }[event.key];
        if (by) setCursor(old => Math.max(0, Math.min(places.length - 1, old < 0 ? 0 : old + by)));
        else if (event.key === " " && cursor >= 0) pick(cursor, event.shiftKey);
        else if (event.key === "Enter" && cursor >= 0 && !target.matches("a")) show(places[cursor]);
        else return;
      } else return;
      event.preventDefault();
    };
    useEffect(() => {
      const listen = event => keys.current(event);
      addEventListener("keydown", listen);
      return () => removeEventListener("keydown", listen);
    }, []);

    const link = of => place => state.address({ ...current, set: of.key, pic: of.id(place) });
    return html`<div class="app">
      <header class="top">
        <h1>${set.title}</h1>
        <nav role="tablist" aria-label="parts">${TABS.map(([name, label]) => html`<button type="button" role="tab" key=${name}
          aria-selected=${tab === name} onClick=${() => change({ tab: name }, true)}>${label}</button>`)}</nav>
        <span aria-live="polite" id="count">${number(places.length)} of ${number(set.count)} pictures</span>
        <span class="does"><b id="selected">${number(selection.size)} selected</b>
          <button type="button" onClick=${() => { places.forEach(place => selection.add(place)); picks(); }}>Select all shown</button>
          <button type="button" disabled=${!selection.size} onClick=${() => { selection.clear(); picks(); }}>Clear</button>
          <button type="button" disabled=${!selection.size} onClick=${() => {
            const left = exported(set, selection);
            setProblem(left ? `${left} names with line breaks or spaces at an end cannot be listed: they were left out.` : "");
          }}>Export list</button>
          <button type="button" aria-label="help" onClick=${() => setHelp(true)}>?</button></span>
      </header>
      ${problem && html`<p class="warning" role="alert">${problem}</p>`}
      <div class="body">
        <details class="side-panel" open=${wide}><summary>Filters</summary>
          <${Panel} set=${set} filter=${filter} onChange=${filtered} selected=${selection.size} /></details>
        <main>${tab === "grid" ? html`<div class=${other ? "grids two-sets" : "grids"}>
          ${(other ? [[set, places], [other, otherPlaces]] : [[set, places]]).map(([of, its]) => html`<section key=${of.key}>
            ${other && html`<h2>${of.title} <span class="soft">${number(its.length)}</span></h2>`}
            ${its.length === 0 && html`<p class="soft nothing">No picture passes all filters.</p>`}
            <${Grid} set=${of} places=${its} selection=${of === set ? selection : selections.current.get(of.key) ?? new Set()} cursor=${of === set ? cursor : -1}
              label=${`pictures of ${of.title}`} link=${link(of)} onCursor=${to => { if (of === set) { setCursor(to); anchor.current = to; } }}
              onOpen=${place => change({ set: of.key, pic: of.id(place), pick: of === set ? current.pick : "" }, true)}
              onPick=${(to, range) => (of === set ? pick(to, range) : change({ set: of.key, pick: of.id(its[to]) && state.shortened([its[to]]) }))} /></section>`)}
        </div>` : html`<${SynthView[tab]} set=${set} others=${[other, real].filter(Boolean)} places=${places} filter=${filter} ready=${ready} onFilter=${values => { filtered(values); change({ tab: "grid" }, true); }} />`}</main>
      </div>
      ${open >= 0 && html`<${Picture} set=${set} place=${open} pair=${pair && pair.place >= 0 ? pair : null} at=${at} total=${places.length}
        shown=${shown} score=${Number(filter.score)} picked=${selection.has(open)} onLayer=${layer} onStep=${step} onClose=${() => show(-1)} onPick=${() => toggle(open)} />`}
      ${current.pic && open < 0 && html`<p class="warning gone" role="alert">There is no picture ${current.pic} in this set. <button type="button" onClick=${() => show(-1)}>All pictures</button></p>`}
      ${help && html`<${Help} onClose=${() => setHelp(false)} />`}
    </div>`;
  }

  render(html`<${App} />`, document.getElementById("app"));
})();
