// Coverage: how often each SKU is seen, from which side and how large. What is missing shows at once.
"use strict";
SynthView.coverage = (() => {
  const { html, useMemo, useState } = htmPreact, { filters } = SynthView;
  // Shorter sides in quarters of a pixel: those of COCO's small, medium and large squares.
  const SIZES = [["small", "under 32 px", "-31.75"], ["medium", "32 to 96 px", "32-95.75"], ["large", "96 px and more", "96-"]], EDGES = [32 * 4, 96 * 4];
  const ROWS = 100;

  // counts[category * columns + view * 3 + size], views the six sides and unknown.
  function counted(set, places, filter) {
    const views = set.posed ? [...set.views, "unknown"] : ["any"], columns = views.length * SIZES.length;
    const counts = new Uint32Array(set.categories.length * columns), { starts, category, width, height, view, ignored } = set.boxes;
    const condition = filters.boxCondition(set, filter);
    for (const place of places) {
      for (let box = starts[place]; box < starts[place + 1]; box++) {
        if (ignored[box] || (condition && !condition(box))) continue;
        const side = Math.min(width[box], height[box]), size = side < EDGES[0] ? 0 : side < EDGES[1] ? 1 : 2;
        const seen = set.posed ? Math.min(view[box], views.length - 1) : 0;
        counts[category[box] * columns + seen * SIZES.length + size]++;
      }
    }
    return { views, columns, counts };
  }

  return function Coverage({ set, places, filter, ready, onFilter }) {
    const [limit, setLimit] = useState(ROWS), [order, setOrder] = useState("fewest");
    const table = useMemo(() => (ready ? counted(set, places, filter) : null), [set, places, filter, ready]);
    if (!ready) return html`<p class="soft">loading</p>`;
    const { views, columns, counts } = table;
    const row = category => counts.subarray(category * columns, (category + 1) * columns);
    const totals = set.categories.map((_, category) => row(category).reduce((sum, count) => sum + count, 0));
    const wanted = set.categories.map((_, category) => category)
      .filter(category => (!filter.sku || set.categories[category][0] === filter.sku) && (!filter.category || set.categories[category][2] === filter.category));
    const by = { fewest: (a, b) => totals[a] - totals[b], most: (a, b) => totals[b] - totals[a], name: (a, b) => (set.categories[a][0] < set.categories[b][0] ? -1 : 1) }[order];
    wanted.sort((a, b) => by(a, b) || a - b);
    // Unknown sides are shown where there are any.
    const shownViews = views.map((_, at) => at).filter(at => views[at] !== "unknown" || wanted.some(category => row(category).subarray(at * 3, at * 3 + 3).some(Boolean)));
    const most = counts.reduce((a, b) => Math.max(a, b), 1), empty = wanted.filter(category => totals[category] === 0).length;
    return html`<div class="coverage"><p>${empty} of ${wanted.length} SKUs are in none of these pictures. <span class="soft">Products that count, by the side that the camera looks at
        and their shorter side: ${SIZES.map(([name, meaning]) => `${name} ${meaning}`).join(", ")}. A click shows the pictures.</span></p>
      <label class="soft">Order <select value=${order} onChange=${event => setOrder(event.target.value)}><option value="fewest">fewest first</option><option value="most">most first</option><option value="name">by SKU</option></select></label>
      <div class="wide" tabIndex="0"><table><thead>${set.posed && html`<tr><th></th><th></th>${shownViews.map(at => html`<th key=${at} colspan="3">${views[at]}</th>`)}</tr>`}
        <tr><th>SKU</th><th class="n">all</th>${shownViews.map(at => SIZES.map(([name]) => html`<th class="n" key=${`${at}${name}`}>${name}</th>`))}</tr></thead>
      <tbody>${wanted.slice(0, limit).map(category => html`<tr key=${category}><td>${set.categories[category][0]}${set.categories[category][1] !== set.categories[category][0] && html`<div class="key">${set.categories[category][1]}</div>`}</td>
        <td class="n">${totals[category].toLocaleString("en")}</td>
        ${shownViews.map(at => SIZES.map(([name, , side], size) => {
          const count = row(category)[at * 3 + size], known = set.posed && views[at] !== "unknown";
          return html`<td class=${`n cell-count${count ? "" : " none"}`} key=${`${at}${name}`} style=${{ "--share": (count / most) ** 0.5 }}>${count ? html`<button type="button"
            aria-label=${`${set.categories[category][0]}, ${views[at]}, ${name}: ${count}`}
            onClick=${() => onFilter({ sku: set.categories[category][0], side, face: known ? views[at] : "" })}>${count.toLocaleString("en")}</button>` : "0"}</td>`;
        }))}</tr>`)}</tbody></table></div>
      ${wanted.length > limit && html`<button type="button" onClick=${() => setLimit(limit + 10 * ROWS)}>${(wanted.length - limit).toLocaleString("en")} more</button>`}</div>`;
  };
})();
