// Distributions of the pictures that the filters let pass, against another set and against photographs.
"use strict";
SynthView.charts = (() => {
  const { html, useMemo } = htmPreact, { filters } = SynthView;
  const BINS = 24, WIDTH = 320, HEIGHT = 110, SHARE = 200, QUARTERS = 4;
  // Values of a set: of each box that passes, of each picture, or of the pictures that were measured.
  const STATISTICS = [
    { name: "box side", unit: "px", meaning: "root of the area of a box", log: true, of: perBox(({ width, height }, box) => Math.sqrt(width[box] * height[box]) / QUARTERS) },
    { name: "visible", unit: "%", meaning: "share of a product that nothing hides", ends: [0, 100], of: perBox(({ visibility }, box) => (visibility[box] > SHARE ? NaN : visibility[box] / SHARE * 100)) },
    { name: "cut off", unit: "%", meaning: "share of a product outside of the picture", ends: [0, 100], of: perBox(({ truncation }, box) => (truncation[box] > SHARE ? NaN : truncation[box] / SHARE * 100)) },
    { name: "products", unit: "per picture", meaning: "boxes in a picture, ignored ones left out", of: perPicture },
    { name: "brightness", unit: "stops", meaning: "mean luminance over middle grey", of: measured("brightness") },
    { name: "sharpness", unit: "", meaning: "finest detail over coarser detail", log: true, of: measured("sharpness") },
  ];

  function perBox(value) {
    return (set, places, condition) => {
      const { starts, ignored } = set.boxes, values = [];
      for (const place of places) {
        for (let box = starts[place]; box < starts[place + 1]; box++) {
          if (ignored[box] || (condition && !condition(box))) continue;
          const found = value(set.boxes, box);
          if (found === found) values.push(found);
        }
      }
      return values;
    };
  }

  function perPicture(set, places, condition) {
    const { starts, ignored } = set.boxes;
    return set.categories.length === 0 ? [] : Array.from(places, place => {
      let count = 0;
      for (let box = starts[place]; box < starts[place + 1]; box++) count += !ignored[box] && (!condition || condition(box));
      return count;
    });
  }

  function measured(name) {
    return (set, places) => {
      const wanted = new Uint8Array(set.count), values = [];
      for (const place of places) wanted[place] = 1;
      set.boxes.measured.forEach((place, row) => { if (wanted[place]) values.push(set.boxes[name][row]); });
      return values;
    };
  }

  function median(values) {
    const sorted = Float64Array.from(values).sort(), middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  // Both ends of the axis: of the list that reaches farther, without its last hundredth, which would flatten the rest.
  function ends(statistic, lists) {
    if (statistic.ends) return statistic.ends;
    let [low, high] = [Infinity, -Infinity];
    for (const values of lists) {
      const sorted = Float64Array.from(values.filter(value => !statistic.log || value > 0)).sort();
      if (!sorted.length) continue;
      low = Math.min(low, sorted[Math.floor(sorted.length * 0.01)]);
      high = Math.max(high, sorted[Math.ceil(sorted.length * 0.99) - 1]);
    }
    if (low > high) return [0, 1];
    return high > low ? [low, high] : [low - (statistic.log ? low / 2 : 0.5), low + (statistic.log ? low : 0.5)];
  }

  // Shares of the values in each bin.
  function shares(statistic, values, [low, high]) {
    const scale = statistic.log ? Math.log : value => value, counts = new Float64Array(BINS);
    for (const value of values) {
      const at = (scale(value) - scale(low)) / (scale(high) - scale(low));
      if (at === at && at > -Infinity) counts[Math.max(0, Math.min(BINS - 1, Math.floor(at * BINS)))]++;
    }
    return counts.map(count => count / Math.max(1, values.length));
  }

  const shown = value => (Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString());

  function Chart({ statistic, lists, titles }) {
    const [low, high] = ends(statistic, lists), all = lists.map(values => shares(statistic, values, [low, high]));
    const top = Math.max(...all.map(one => Math.max(...one))) || 1, step = WIDTH / BINS;
    const line = heights => Array.from(heights, (height, bin) => {
      const y = (HEIGHT - height / top * (HEIGHT - 6)).toFixed(1);
      return `${(bin * step).toFixed(1)},${y} ${((bin + 1) * step).toFixed(1)},${y}`;
    }).join(" ");
    const told = lists.map((values, at) => `${titles[at]}: ${values.length ? `median ${shown(median(values))} ${statistic.unit}`.trim() : "none"}`);
    return html`<section class="chart"><h3>${statistic.name} <span class="soft">${statistic.unit}</span></h3>
      <div class="meaning">${statistic.meaning}</div>
      <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`${statistic.name}; ${told.join("; ")}`}>
        ${Array.from(all[0], (height, bin) => html`<rect key=${bin} x=${bin * step + 0.5} width=${step - 1} y=${HEIGHT - height / top * (HEIGHT - 6)} height=${height / top * (HEIGHT - 6)} />`)}
        ${all.slice(1).map((heights, at) => html`<polyline key=${at} class=${`line${at + 1}`} points=${line(heights)} />`)}</svg>
      <div class="ends soft"><span>${shown(low)}</span><span>${shown(high)}</span></div>
      <ul class="told">${told.map((text, at) => html`<li key=${at}><i class=${`line${at}`}></i>${text}</li>`)}</ul></section>`;
  }

  return function Charts({ set, others, places, filter, ready }) {
    const all = ready ? [set, ...others] : [], titles = all.map(one => (one.key === "real" ? `photographs ${one.title}` : one.title));
    const lists = useMemo(() => STATISTICS.map(statistic => all.map((one, at) => statistic.of(one,
      at ? one.key === "real" ? [...Array(one.count).keys()] : filters.apply(one, { ...filter, picked: "" }, new Set()) : places,
      one.key === "real" ? null : filters.boxCondition(one, filter)))), [set, places, filter, ready]);
    if (!ready) return html`<p class="soft">loading</p>`;
    return html`<div class="charts-tab"><p class="soft">Of the pictures that pass the filters; conditions on products hold for each product that is counted. Photographs are counted whole.
        Brightness and sharpness are measured on some pictures, as 'synth gap' does.</p>
      <div class="charts">${STATISTICS.map((statistic, at) => lists[at].some(values => values.length) && html`<${Chart} key=${statistic.name} statistic=${statistic} lists=${lists[at]} titles=${titles} />`)}</div></div>`;
  };
})();
