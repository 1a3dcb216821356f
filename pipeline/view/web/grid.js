// The grid: only thumbnails in sight are in the document, whatever the number of pictures.
"use strict";
SynthView.Grid = (() => {
  const { html, useState, useEffect, useLayoutEffect, useRef } = htmPreact;
  // Of a cell with its caption, pixels. Rows beyond the edges of the view that are ready when it moves.
  const GAP = 8, CAPTION = 26, BEYOND = 2, NARROWEST = 150;

  // The part of a sprite that is one picture. Sizes are shares of the cell, which is as wide as fits.
  function Thumb({ set, place, width }) {
    const thumb = set.thumb(place), [cell, high] = set.cell, scale = width / cell;
    const style = {
      width: `${thumb.width * scale}px`, height: `${thumb.height * scale}px`,
      backgroundImage: `url("${thumb.url}")`, backgroundSize: `${thumb.sheet * scale}px auto`,
      backgroundPosition: `${-thumb.x * scale}px ${-thumb.y * scale}px`,
    };
    return html`<span class="frame" style=${{ height: `${high * scale}px` }}>
      <span class="thumb" role="img" aria-label=${set.names[place]} style=${style}></span></span>`;
  }

  // places: of the pictures that are shown. cursor: which of these the keyboard is on, -1 for none.
  return function Grid({ set, places, selection, cursor, onOpen, onPick, onCursor, link, label }) {
    const box = useRef(null), [view, setView] = useState({ width: 0, height: 0, top: 0 });
    useLayoutEffect(() => {
      const measure = () => setView({ width: box.current.clientWidth, height: box.current.clientHeight, top: box.current.scrollTop });
      measure();
      const watcher = new ResizeObserver(measure);
      watcher.observe(box.current);
      return () => watcher.disconnect();
    }, []);
    const columns = Math.max(2, Math.floor((view.width + GAP) / (NARROWEST + GAP)));
    const width = Math.floor((view.width - GAP * (columns - 1)) / columns);
    const rowHeight = Math.ceil(width * set.cell[1] / set.cell[0]) + CAPTION + GAP, rows = Math.ceil(places.length / columns);
    const first = Math.max(0, Math.floor(view.top / rowHeight) - BEYOND);
    const last = Math.min(rows, Math.ceil((view.top + view.height) / rowHeight) + BEYOND);
    // What the keyboard is on stays in sight.
    useEffect(() => {
      if (cursor < 0 || !view.width || !box.current) return;
      const top = Math.floor(cursor / columns) * rowHeight, element = box.current;
      if (top < element.scrollTop) element.scrollTop = top;
      else if (top + rowHeight > element.scrollTop + element.clientHeight) element.scrollTop = top + rowHeight - element.clientHeight;
    }, [cursor, columns, rowHeight]);
    // Another filter begins at its start.
    useEffect(() => { if (cursor < 0 && box.current) box.current.scrollTop = 0; }, [places]);
    SynthView.columns = columns;
    const cells = [];
    for (let at = first * columns; view.width && at < Math.min(places.length, last * columns); at++) {
      const place = places[at], picked = selection.has(place), name = set.names[place];
      const style = { width: `${width}px`, transform: `translate(${at % columns * (width + GAP)}px, ${Math.floor(at / columns) * rowHeight}px)` };
      cells.push(html`<div key=${place} role="listitem" class=${`cell${picked ? " picked" : ""}${at === cursor ? " current" : ""}`} style=${style}
          aria-setsize=${places.length} aria-posinset=${at + 1}>
        <a href=${link(place)} title=${name} onClick=${event => {
          if (event.shiftKey || event.ctrlKey || event.metaKey) { event.preventDefault(); onPick(at, event.shiftKey); return; }
          event.preventDefault(); onCursor(at); onOpen(place);
        }}><${Thumb} set=${set} place=${place} width=${width} /><span class="caption">${name}</span></a>
        <label class="pick"><input type="checkbox" checked=${picked} aria-label=${`select ${name}`}
          onClick=${event => onPick(at, event.shiftKey)} /></label>
      </div>`);
    }
    return html`<div class="grid" ref=${box} role="list" aria-label=${label} tabIndex="-1"
        onScroll=${event => setView({ width: event.target.clientWidth, height: event.target.clientHeight, top: event.target.scrollTop })}>
      <div style=${{ height: `${rows * rowHeight}px`, position: "relative" }}>${cells}</div></div>`;
  };
})();
