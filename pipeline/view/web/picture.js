// The page of one picture: its layers, its products, what its record and its scene say.
"use strict";
SynthView.Picture = (() => {
  const { html, useState, useEffect, useRef } = htmPreact, { layers } = SynthView;
  const PERCENT = share => (share < 0 ? "–" : `${Math.round(share * 100)} %`);
  // Layer -> its key and its name.
  const LAYERS = [["boxes", "b", "boxes"], ["masks", "m", "masks"], ["amodal", "a", "amodal outlines"], ["detections", "p", "detections"],
    ["depth", "d", "depth"], ["normals", "n", "normals"], ["ids", "i", "ids"]];

  // What is loaded for a picture; null while it is on its way.
  function useLoaded(load, keys) {
    const [loaded, setLoaded] = useState(null);
    useEffect(() => {
      let current = true;
      setLoaded(null);
      load().then(value => { if (current) setLoaded({ value }); }, error => { if (current) setLoaded({ error }); });
      return () => { current = false; };
    }, keys);
    return loaded;
  }

  function Masks({ picture, kind, chosen }) {
    const canvas = useRef(null);
    useEffect(() => layers.paint(canvas.current, picture, kind, chosen), [picture, kind, chosen]);
    return html`<canvas ref=${canvas} class=${`layer ${kind}`} width=${picture.width} height=${picture.height}></canvas>`;
  }

  function Boxes({ picture, kind, chosen, labels }) {
    return html`<svg class="layer boxes" viewBox=${`0 0 ${picture.width} ${picture.height}`} preserveAspectRatio="none" aria-hidden="true">
      ${picture.boxes.map((box, number) => {
        const edges = kind === "amodal" ? box.amodalBox : box.box;
        if (!edges || (chosen >= 0 && chosen !== number)) return null;
        return html`<rect key=${number} x=${edges[0]} y=${edges[1]} width=${edges[2]} height=${edges[3]} stroke=${layers.css(box.hue)}
          class=${[kind, box.ignored && "ignored", labels && labels[number]].filter(Boolean).join(" ")}
          vector-effect="non-scaling-stroke" />`;
      })}</svg>`;
  }

  // Detections over truth: right ones green, wrong ones red; missed products are dashed.
  function Detections({ picture, rows, score }) {
    return html`<svg class="layer" viewBox=${`0 0 ${picture.width} ${picture.height}`} preserveAspectRatio="none" aria-hidden="true">
      ${rows.judged && picture.boxes.map((box, number) => !box.ignored && box.box && (rows.best[number] ?? -1) < score &&
        html`<rect key=${`missed${number}`} class="fn" x=${box.box[0]} y=${box.box[1]} width=${box.box[2]} height=${box.box[3]} vector-effect="non-scaling-stroke" />`)}
      ${rows.detections.map((one, number) => one.score >= score && html`<rect key=${number} class=${["fp", "tp", "neither"][one.status]}
        x=${one.box[0]} y=${one.box[1]} width=${one.box[2]} height=${one.box[3]} vector-effect="non-scaling-stroke" />`)}</svg>`;
  }

  function Figure({ set, place, shown, score, chosen, onChoose }) {
    const loaded = useLoaded(() => set.picture(place), [set, place]);
    const wantsDrawn = ["depth", "normals", "ids"].filter(name => shown.has(name) && set.layers.includes(name));
    const drawn = useLoaded(() => (wantsDrawn.length ? set.part("layers", place) : Promise.resolve(null)), [set, place, wantsDrawn.length > 0]);
    const found = useLoaded(() => (set.found ? set.detections(place) : Promise.resolve(null)), [set, place, set.found]);
    if (!loaded) return html`<p class="soft">loading</p>`;
    if (loaded.error) return html`<p class="warning" role="alert">${loaded.error.message}</p>`;
    const picture = loaded.value, rows = found?.value, style = { aspectRatio: `${picture.width || 4} / ${picture.height || 3}`,
      maxWidth: `calc(var(--tall) * ${(picture.width || 4) / (picture.height || 3)})` };
    const top = wantsDrawn[wantsDrawn.length - 1], row = drawn?.value?.[["depth", "normals", "ids"].indexOf(top)];
    const choose = event => {
      const area = event.currentTarget.getBoundingClientRect();
      const number = layers.under(picture, (event.clientX - area.left) / area.width * picture.width, (event.clientY - area.top) / area.height * picture.height);
      onChoose(number === chosen ? -1 : number);
    };
    return html`<figure class="picture">
      <div class="stack-of-layers" style=${style} onClick=${choose}>
        ${picture.url ? html`<img src=${picture.url} alt=${set.names[place]} draggable="false" />` : html`<p class="soft">This picture cannot be read.</p>`}
        ${row && html`<img class=${`layer ${top}`} src=${row[0]} alt=${top} />`}
        ${shown.has("masks") && html`<${Masks} picture=${picture} kind="masks" chosen=${chosen} />`}
        ${shown.has("amodal") && html`<${Masks} picture=${picture} kind="amodal" chosen=${chosen} />`}
        ${shown.has("amodal") && !picture.boxes.some(box => box.amodalMask) && html`<${Boxes} picture=${picture} kind="amodal" chosen=${chosen} />`}
        ${shown.has("boxes") && html`<${Boxes} picture=${picture} kind="boxes" chosen=${chosen} />`}
        ${shown.has("detections") && rows && html`<${Detections} picture=${picture} rows=${rows} score=${score} />`}
      </div>
      <figcaption>${set.id(place)}${top === "depth" && row && html`; depth ${row[1]} m (red) to ${row[2]} m (blue)`}</figcaption>
      <${Facts} set=${set} place=${place} picture=${picture} rows=${rows} score=${score} chosen=${chosen} onChoose=${onChoose} />
    </figure>`;
  }

  function Facts({ set, place, picture, rows, score, chosen, onChoose }) {
    return html`<div class="facts">
      <dl class="about"><dt>size</dt><dd>${picture.width} x ${picture.height} px</dd><dt>split</dt><dd>${set.splits[set.split[place]]}</dd>
        ${picture.facts.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`)}</dl>
      ${rows && html`<p>${count(rows, picture, score)}</p><${Detected} set=${set} rows=${rows} score=${score} />`}
      ${picture.boxes.length > 0 && html`<div class="wide"><table class="products"><thead><tr><th>product</th><th class="n">visible</th><th class="n">cut off</th><th class="n">size, px</th></tr></thead>
        <tbody>${picture.boxes.map((box, number) => {
          const [key, name] = set.categories[box.category] ?? ["?", "?"];
          return html`<tr key=${number} class=${number === chosen ? "chosen" : ""}>
            <td><button type="button" aria-pressed=${number === chosen} onClick=${() => onChoose(number === chosen ? -1 : number)}>
              <i style=${{ background: layers.css(box.hue) }}></i>${key}</button>${name !== key && html`<div class="key">${name}</div>`}${box.ignored ? html`<div class="key">ignored</div>` : null}</td>
            <td class="n">${PERCENT(box.visibility)}</td><td class="n">${PERCENT(box.truncation)}</td>
            <td class="n">${box.box ? `${Math.round(box.box[2])} x ${Math.round(box.box[3])}` : "–"}</td></tr>`;
        })}</tbody></table></div>`}
      ${set.layers.includes("scenes") && html`<${Scene} key=${place} set=${set} place=${place} />`}
    </div>`;
  }

  // The detections as a list: what each says, and whether it is right.
  function Detected({ set, rows, score }) {
    const kept = rows.detections.filter(one => one.score >= score);
    return kept.length > 0 && html`<details><summary>${kept.length} detections</summary><ul class="detected">${kept.map((one, number) => html`<li key=${number}>
      <b class=${["fp", "tp", "neither"][one.status]}>${["FP", "TP", "not counted"][one.status]}</b> ${one.score.toFixed(2)} ${set.categories[one.category]?.[0] ?? "?"}</li>`)}</ul></details>`;
  }

  function count(rows, picture, score) {
    if (!rows.judged) return "not in the split that was evaluated";
    const kept = rows.detections.filter(one => one.score >= score), of = status => kept.filter(one => one.status === status).length;
    const missed = picture.boxes.filter((box, number) => !box.ignored && (rows.best[number] ?? -1) < score).length;
    return `${of(1)} right (TP), ${of(0)} wrong (FP), ${missed} missed (FN) at a score of ${score.toFixed(2)}`;
  }

  function Scene({ set, place }) {
    const [text, setText] = useState(null);
    const open = event => {
      if (event.currentTarget.open && text === null) set.scene(place).then(setText, error => setText(error.message));
    };
    return html`<details class="scene" onToggle=${open}><summary>SceneSpec</summary>
      <pre tabIndex="0">${text ?? "loading"}</pre></details>`;
  }

  return Object.assign(function Picture({ set, place, pair, at, total, shown, score, picked, onLayer, onStep, onClose, onPick }) {
    const [chosen, setChosen] = useState(-1), close = useRef(null);
    useEffect(() => setChosen(-1), [set, place]);
    useEffect(() => close.current?.focus(), []);
    const there = LAYERS.filter(([name]) => ["boxes", "masks", "amodal"].includes(name) ? set.categories.length > 0
      : name === "detections" ? set.found : set.layers.includes(name));
    return html`<section class="viewer" role="dialog" aria-modal="true" aria-label=${set.names[place]}>
      <header class="tools">
        <button type="button" ref=${close} onClick=${onClose} aria-label="back to all pictures">✕</button>
        <button type="button" onClick=${() => onStep(-1)} disabled=${at <= 0} aria-label="previous picture">←</button>
        <button type="button" onClick=${() => onStep(1)} disabled=${at < 0 || at + 1 >= total} aria-label="next picture">→</button>
        <span class="soft">${at >= 0 ? `${(at + 1).toLocaleString("en")} of ${total.toLocaleString("en")}` : "not among those shown"}</span>
        <label class="check"><input type="checkbox" checked=${picked} onClick=${onPick} /> selected</label>
        <span class="switches" role="group" aria-label="layers">${there.map(([name, key, label]) => html`<button type="button" key=${name}
          aria-pressed=${shown.has(name)} title=${`${label} (${key})`} onClick=${() => onLayer(name)}>${label}</button>`)}</span>
      </header>
      <div class=${pair ? "pair" : "alone"}>
        <${Figure} set=${set} place=${place} shown=${shown} score=${score} chosen=${chosen} onChoose=${setChosen} />
        ${pair && html`<${Figure} set=${pair.set} place=${pair.place} shown=${shown} score=${score} chosen=${-1} onChoose=${() => {}} />`}
      </div>
    </section>`;
  }, { LAYERS });
})();
