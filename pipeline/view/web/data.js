// The data of the pages. Pages opened from disk may not read files, but may load scripts: each piece of data is a
// script that calls SynthView.add(key, content).
"use strict";
window.SynthView = (() => {
  const content = new Map(), waiting = new Map();
  // Pieces that are kept: a piece of crowded shelves is some megabytes.
  const KEPT = 24;

  function add(key, value) {
    content.set(key, value);
    const promise = waiting.get(key);
    if (promise) promise.resolve(value);
  }

  // The content under a key, from its script; a promise, since most scripts are loaded when they are needed.
  function load(key, url) {
    if (content.has(key)) return Promise.resolve(content.get(key));
    const known = waiting.get(key);
    if (known) return known.promise;
    const entry = {};
    entry.promise = new Promise((resolve, reject) => { entry.resolve = resolve; entry.reject = reject; });
    waiting.set(key, entry);
    const script = document.createElement("script");
    script.src = url;
    script.onerror = () => { waiting.delete(key); entry.reject(new Error(`${url} is missing: build the pages again`)); };
    script.onload = () => { waiting.delete(key); script.remove(); forget(); };
    document.head.append(script);
    return entry.promise;
  }

  function forget() {
    const pieces = [...content.keys()].filter(key => key.split("/").length === 3);
    for (const key of pieces.slice(0, Math.max(0, pieces.length - KEPT))) content.delete(key);
  }

  // A column of numbers in base64. Each is little-endian, as all machines are that run browsers today.
  function column(text, Kind) {
    const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : fromBase64(text);
    return new Kind(bytes.buffer, 0, bytes.length / Kind.BYTES_PER_ELEMENT);
  }

  function fromBase64(text) {
    const plain = atob(text), bytes = new Uint8Array(plain.length);
    for (let i = 0; i < plain.length; i++) bytes[i] = plain.charCodeAt(i);
    return bytes;
  }

  // A set of pictures. key: "a" or "b". Names of files are text here and nowhere a path.
  class PictureSet {
    constructor(key) {
      const index = content.get(`${key}/index`);
      Object.assign(this, { key, title: index.title, names: index.names, splits: index.splits, recipes: index.recipes,
        sources: index.sources, categories: index.categories, layers: index.layers, views: index.views,
        perPiece: index.pictures, cell: index.cell });
      this.count = this.names.length;
      this.split = column(index.split, Uint16Array);
      this.recipe = column(index.recipe, Uint16Array);
      this.source = column(index.source, Uint16Array);
      this.size = column(index.size, Uint32Array);
      this.boxes = null;
      this.found = null;
      this.places = null;
    }

    // The columns of all boxes; filters on boxes wait for them.
    async loadBoxes() {
      const told = await load(`${this.key}/boxes`, `data/${this.key}/boxes.js`);
      const kinds = { starts: Uint32Array, category: Uint32Array, width: Uint16Array, height: Uint16Array,
        visibility: Uint8Array, truncation: Uint8Array, view: Uint8Array, ignored: Uint8Array,
        measured: Uint32Array, brightness: Float32Array, sharpness: Float32Array };
      const boxes = {};
      for (const name of Object.keys(kinds)) boxes[name] = column(told[name], kinds[name]);
      this.boxes = boxes;
      this.posed = boxes.view.some(view => view < this.views.length);
    }

    // Columns of the detections of a set, and what became of each: see predictions.py.
    async loadFound(title) {
      const told = await load(`${this.key}/found`, `data/${this.key}/found.js`), found = { title };
      const kinds = { starts: Uint32Array, score: Float32Array, status: Uint8Array, category: Uint32Array, best: Float32Array, judged: Uint8Array };
      for (const name of Object.keys(kinds)) found[name] = column(told[name], kinds[name]);
      this.found = found;
    }

    // The detections of a picture, and for each of its boxes the score of the one that found it.
    async detections(place) {
      const { starts, score, status, category, best, judged } = this.found, first = this.boxes.starts[place];
      const detections = (await this.part("found", place)).map((box, number) => {
        const row = starts[place] + number;
        return { box, score: score[row], status: status[row], category: category[row] };
      });
      return { detections, judged: judged[place] === 1, best: best.subarray(first, this.boxes.starts[place + 1]) };
    }

    id(place) { return `${this.splits[this.split[place]]}/${this.names[place]}`; }

    // The place of a picture by split and name; links keep those, since places change when a set grows.
    find(id) {
      if (!this.places) {
        this.places = new Map();
        for (let i = this.count - 1; i >= 0; i--) this.places.set(this.id(i), i);
      }
      return this.places.get(id) ?? -1;
    }

    file(kind, place, part = "", suffix = "js") {
      const number = String(Math.floor(place / this.perPiece)).padStart(5, "0");
      return `data/${this.key}/${kind}-${number}${part}.${suffix}`;
    }

    // Where the thumbnail of a picture lies in its sprite, and how large it is: as thumbs.py computes it.
    thumb(place) {
      const [width, height, columns] = this.cell, inPiece = place % this.perPiece, perSprite = columns * columns;
      const inSprite = inPiece % perSprite, [w, h] = [this.size[2 * place] || 1, this.size[2 * place + 1] || 1];
      const scale = Math.min(width / w, height / h, 1);
      return {
        url: this.file("thumbs", place, `-${Math.floor(inPiece / perSprite)}`, "jpg"),
        x: inSprite % columns * width, y: Math.floor(inSprite / columns) * height,
        width: Math.max(1, Math.floor(w * scale + 0.5)), height: Math.max(1, Math.floor(h * scale + 0.5)),
        sheet: columns * width,
      };
    }

    async part(kind, place) {
      const piece = Math.floor(place / this.perPiece);
      return (await load(`${this.key}/${kind}/${piece}`, this.file(kind, place)))[place % this.perPiece];
    }

    // The hue of a product, 0 to 1: of its key (FNV-1a), so that it has one colour in both sets and at every visit.
    hue(category) {
      let hash = 0x811c9dc5;
      for (const char of this.categories[category]?.[0] ?? "") hash = Math.imul(hash ^ char.codePointAt(0), 0x01000193);
      return ((hash ^ (hash >>> 15)) >>> 0) % 360 / 360;
    }

    // What the page of a picture shows: see rows.py.
    async picture(place) {
      const [width, height, url, facts, rows] = await this.part("piece", place);
      const boxes = rows.map(([category, box, visibility, truncation, ignored, mask, amodalBox, amodalMask, instance]) =>
        ({ category, box, visibility, truncation, ignored, mask, amodalBox, amodalMask, instance, hue: this.hue(category) }));
      return { width, height, url, facts, boxes };
    }

    // The SceneSpec of a picture as indented text.
    async scene(place) {
      const packed = await this.part("scenes", place);
      if (!packed) return "";
      const stream = new Blob([column(packed, Uint8Array)]).stream().pipeThrough(new DecompressionStream("deflate"));
      return JSON.stringify(JSON.parse(await new Response(stream).text()), shortLists, 1).replace(/"\\u0001(\[[^"]*\])"/g, "$1");
    }
  }

  // Lists of numbers on one line: a pose is four lines, not twenty. Marked by a character that no text has.
  function shortLists(name, value) {
    return Array.isArray(value) && value.every(one => typeof one === "number") ? `\u0001[${value.join(", ")}]` : value;
  }

  return { add, get: key => content.get(key), PictureSet };
})();
