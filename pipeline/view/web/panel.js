// The panel of filters. Every name that it shows goes into the document as text, never as markup.
"use strict";
SynthView.Panel = (() => {
  const { html, useState } = htmPreact;
  // SKUs that a search offers: catalogues have tens of thousands.
  const OFFERED = 30;

  function Choice({ label, name, values, filter, onChange, none }) {
    if (values.length < 2 && !filter[name]) return null;
    return html`<label class="field">${label}
      <select value=${filter[name]} onChange=${event => onChange({ [name]: event.target.value })}>
        <option value="">${none ?? "all"}</option>
        ${values.map(value => html`<option key=${value} value=${value}>${value}</option>`)}
      </select></label>`;
  }

  // Two numbers in one text "low-high", as the address keeps them.
  function Range({ label, name, unit, filter, onChange }) {
    const [low, high = ""] = filter[name].split("-");
    const put = (first, second) => onChange({ [name]: first || second ? `${first}-${second}` : "" });
    return html`<fieldset class="field range"><legend>${label}, ${unit}</legend>
      <input type="number" min="0" inputmode="decimal" placeholder="from" aria-label=${`${label} from, ${unit}`} value=${low ?? ""}
        onInput=${event => put(event.target.value, high)} />
      <input type="number" min="0" inputmode="decimal" placeholder="to" aria-label=${`${label} to, ${unit}`} value=${high}
        onInput=${event => put(low ?? "", event.target.value)} /></fieldset>`;
  }

  function Sku({ set, filter, onChange }) {
    const [typed, setTyped] = useState(null), text = (typed ?? "").toLowerCase();
    const offered = [];
    for (const row of typed === null ? [] : set.categories) {
      if (offered.length < OFFERED && row.join("\n").toLowerCase().includes(text)) offered.push(row);
    }
    const choose = key => { setTyped(null); onChange({ sku: key }); };
    return html`<div class="field"><label>SKU
      <input type="search" id="sku" autocomplete="off" placeholder="all: type to search" value=${typed ?? filter.sku}
        onInput=${event => { setTyped(event.target.value); if (!event.target.value) onChange({ sku: "" }); }}
        onKeyDown=${event => { if (event.key === "Enter" && offered.length) choose(offered[0][0]); }} /></label>
      ${offered.length > 0 && html`<ul class="offered">${offered.map(([key, name]) =>
        html`<li key=${key}><button type="button" onClick=${() => choose(key)}>${key}${name !== key && html` <span class="soft">${name}</span>`}</button></li>`)}</ul>`}
    </div>`;
  }

  return function Panel({ set, filter, onChange, selected }) {
    const supers = [...new Set(set.categories.map(row => row[2]))].filter(Boolean).sort();
    const choice = { filter, onChange };
    return html`<form class="panel" onSubmit=${event => event.preventDefault()}>
      <label class="field">Search <input type="search" id="search" placeholder="file or product" value=${filter.q} autocomplete="off"
        onInput=${event => onChange({ q: event.target.value })} /></label>
      <${Choice} label="Split" name="split" values=${set.splits} ...${choice} />
      <${Choice} label="Category" name="category" values=${supers} ...${choice} />
      ${set.categories.length > 0 && html`<${Sku} set=${set} ...${choice} />`}
      <${Choice} label="Recipe" name="recipe" values=${set.recipes.filter(Boolean)} ...${choice} />
      <${Choice} label="Source" name="source" values=${set.sources} ...${choice} />
      ${set.categories.length > 0 && html`
        <${Range} label="Visible" name="visible" unit="%" ...${choice} />
        <${Range} label="Shorter side" name="side" unit="px" ...${choice} />`}
      ${set.posed && html`<${Choice} label="Side seen" name="face" values=${set.views} ...${choice} />`}
      ${set.found && html`<fieldset class="field"><legend>Detections of ${set.found.title}</legend>
        <select aria-label="pictures with" value=${filter.found} onChange=${event => onChange({ found: event.target.value })}>
          <option value="">all pictures</option><option value="tp">with one that is right (TP)</option>
          <option value="fp">with one that is wrong (FP)</option><option value="fn">with a product that is missed (FN)</option></select>
        <label>score of at least ${Number(filter.score).toFixed(2)}
          <input type="range" id="score" min="0" max="1" step="0.01" value=${filter.score}
            onInput=${event => onChange({ score: event.target.value })} /></label></fieldset>`}
      <label class="field">Order <select value=${filter.order} onChange=${event => onChange({ order: event.target.value })}>
        <option value="">of the set</option><option value="most">most products first</option>
        <option value="fewest">fewest products first</option>
        ${set.found && html`<option value="worst">most mistakes first</option>`}</select></label>
      <label class="field check"><input type="checkbox" checked=${filter.picked !== ""} disabled=${!selected && !filter.picked}
        onClick=${event => onChange({ picked: event.target.checked ? "1" : "" })} /> only the ${selected} selected</label>
      <button type="button" onClick=${() => onChange(SynthView.filters.NONE)}>Reset filters</button>
    </form>`;
  };
})();
