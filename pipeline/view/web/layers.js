// Layers on a picture. Masks are COCO's run lengths, decoded here to the pixel; no pixel of the picture is ever read,
// which pages from disk could not do.
"use strict";
SynthView.layers = (() => {
  // Red, green and blue of a hue, 0 to 1.
  function color(hue) {
    const part = shift => {
      const at = (shift + hue * 6) % 6;
      return Math.round(255 * (0.95 - 0.75 * Math.max(0, Math.min(at, 4 - at, 1))));
    };
    return [part(5), part(3), part(1)];
  }

  function css(hue) { return `rgb(${color(hue).join(" ")})`; }

  // Lengths of the runs of 0 and 1 in COCO's text: six bits to a character, five of them a number's; from the fourth
  // run on relative to the last but one.
  function runs(text) {
    const lengths = [];
    for (let i = 0; i < text.length;) {
      let value = 0, shift = 0, code;
      do {
        code = text.charCodeAt(i++) - 48;
        value += (code & 31) * 2 ** shift;
        shift += 5;
      } while (code & 32);
      if (code & 16) value -= 2 ** shift;
      lengths.push(lengths.length > 2 ? value + lengths[lengths.length - 2] : value);
    }
    return lengths;
  }

  // 1 where the mask is, row by row. Runs go down the columns.
  function decode(text, width, height) {
    const mask = new Uint8Array(width * height);
    let at = 0, inside = 0;
    for (const length of runs(text)) {
      if (inside) {
        for (let i = at; i < at + length; i++) mask[(i % height) * width + Math.floor(i / height)] = 1;
      }
      at += length;
      inside = 1 - inside;
    }
    return mask;
  }

  // Paints masks of boxes: whole, or their outline, which is the pixels beside one that is not in the mask.
  function paint(canvas, picture, kind, chosen) {
    const { width, height } = picture, context = canvas.getContext("2d"), image = context.createImageData(width, height);
    const data = image.data, outline = kind === "amodal";
    picture.boxes.forEach((box, number) => {
      const text = outline ? box.amodalMask : box.mask;
      if (!text || (chosen >= 0 && number !== chosen)) return;
      const mask = decode(text, width, height), [red, green, blue] = color(box.hue);
      for (let y = 0, at = 0; y < height; y++) {
        for (let x = 0; x < width; x++, at++) {
          if (!mask[at] || (outline && !edge(mask, x, y, width, height))) continue;
          data[4 * at] = red; data[4 * at + 1] = green; data[4 * at + 2] = blue;
          data[4 * at + 3] = outline ? 255 : number === chosen ? 190 : 120;
        }
      }
    });
    context.putImageData(image, 0, 0);
  }

  function edge(mask, x, y, width, height) {
    const at = y * width + x;
    return x === 0 || y === 0 || x === width - 1 || y === height - 1
      || !mask[at - 1] || !mask[at + 1] || !mask[at - width] || !mask[at + width];
  }

  // The smallest box around a point: what a click on the picture means.
  function under(picture, x, y) {
    let best = -1, least = Infinity;
    picture.boxes.forEach((box, number) => {
      if (!box.box) return;
      const [left, top, width, height] = box.box;
      if (x >= left && y >= top && x < left + width && y < top + height && width * height < least) {
        [best, least] = [number, width * height];
      }
    });
    return best;
  }

  return { color, css, runs, decode, paint, under };
})();
