"""Pages of a large data set: how fast they are built, how much memory that takes, how fast they answer in Chromium.

    python benchmarks/scale/view.py data/synth --images 50000      # some GB of disk

The pictures of a rendered set (synth render) are linked under new names until there are enough, with their records
and scenes; every picture is read and every thumbnail made as if all were different. Prints rows for docs/results.md.
Needs Chromium and Playwright (pip install 'synth[dev]').
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from dataset.coco_writer import write_coco
from dataset.records import ImageLabels
from dataset.store import CocoStore, open_dataset
from dataset.values import whole_number

# Times that each answer is measured in the browser.
REPEATS = 5
# When a filter is applied, and what is on the screen has followed.
FILTERED = """async ([selector, value]) => {
  const element = document.querySelector(selector), begin = performance.now();
  element.value = value;
  element.dispatchEvent(new Event(element.tagName === 'SELECT' ? 'change' : 'input', { bubbles: true }));
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  return [performance.now() - begin, document.querySelector('#count').textContent];
}"""


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--images", default=2000, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write; deleted afterwards.")
@click.option("--smaller/--no-smaller", default=True, help="Also at a tenth of the size, for the memory.")
def main(source: Path, images: int, folder: Path | None, smaller: bool) -> None:
    """Measures building and answers at two sizes, and prints a row for each."""
    peaks = []
    for count in [images // 10, images] if smaller else [images]:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            large = linked_set(source, Path(name) / "set", count)
            for what in ("built", "built again"):
                seconds, worked, peak = built(large, Path(name) / "pages")
                rate = f"{count / seconds:.0f} images/s | {worked:.0f} s of processors | {peak:.0f} MiB"
                print(f"| {what}, {count:,} images | {seconds:.1f} s | {rate} |", flush=True)
                peaks.append(peak)
            size = sum(file.stat().st_size for file in (Path(name) / "pages").rglob("*") if file.is_file())
            print(f"| pages of {count:,} images | {size / 1e6:.0f} MB |")
            answers(Path(name) / "pages" / "index.html", count)
    if smaller:
        print(f"| peak memory over that of a tenth | {peaks[2] / peaks[0]:.2f} |")


def linked_set(source: Path, folder: Path, count: int) -> Path:
    """A set of `count` images whose files are links to those of a rendered set."""
    store = open_dataset(source)
    assert isinstance(store, CocoStore)
    originals = [stored for part in store.parts for stored in part.stored_images()]
    for name in ("images", "scenes", "annotations"):
        (folder / name).mkdir(parents=True)

    def records() -> Iterator[ImageLabels]:
        number = 0
        for place in range(count):
            stored = originals[place % len(originals)]
            name = f"{place:06d}_0"
            assert isinstance(stored.data, Path)
            os.link(stored.data, folder / "images" / f"{name}.jpg")
            scene = stored.beside["scenes"]
            if isinstance(scene, Path) and scene.is_file():
                os.link(scene, folder / "scenes" / f"{name}.json")
            content: dict[str, Any] = stored.labels.content()
            content["image"] |= {"id": place + 1, "file_name": f"{name}.jpg", "index": place}
            for record in content["annotations"]:
                number += 1
                record |= {"id": number, "image_id": place + 1}
            yield ImageLabels.parse(content)

    head = store.head(store.parts[0].split)
    assert all(whole_number(one.id) is not None for one in head.categories)
    write_coco(folder / "annotations" / "instances_train.json", records(), head)
    return folder


def built(place: Path, out: Path) -> tuple[float, float, float]:
    """Seconds, seconds of all processors, and MiB at the peak of the largest process.

    On a machine that does other things the second number tells what the first would be without them.
    """
    command = [sys.executable, "-m", "pipeline", "view", str(place), "--out", str(out), "--quiet"]
    measured = "import resource, subprocess, sys, time; t = time.time(); subprocess.run(sys.argv[1:], check=True); "
    measured += "r = resource.getrusage(resource.RUSAGE_CHILDREN); "
    measured += "print(time.time() - t, r.ru_utime + r.ru_stime, r.ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", measured, *command], check=True, capture_output=True, text=True)
    seconds, worked, kib = map(float, done.stdout.split()[-3:])
    return seconds, worked, kib / 1024


def answers(page_file: Path, count: int) -> None:
    """First paint and filters, in Chromium, from the disk."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        paints, shown, ready = [], [], []
        for _ in range(REPEATS):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(page_file.as_uri())
            page.locator(".cell").first.wait_for()
            shown.append(float(page.evaluate("performance.now()")))
            paint = "performance.getEntriesByType('paint').find(one => one.name === 'first-contentful-paint').startTime"
            paints.append(float(page.evaluate(paint)))
            # Filters on boxes are there once the side seen can be chosen.
            page.get_by_label("Side seen").wait_for()
            ready.append(float(page.evaluate("performance.now()")))
            last = page
            if _ < REPEATS - 1:
                page.close()
        print(f"| first paint, {count:,} images | {statistics.median(paints):.0f} ms | worst {max(paints):.0f} ms |")
        print(
            f"| pictures in sight, {count:,} images | {statistics.median(shown):.0f} ms | worst {max(shown):.0f} ms |"
        )
        print(f"| filters on boxes ready, {count:,} images | {statistics.median(ready):.0f} ms |")
        sku = json.loads(json.dumps(last.evaluate("SynthView.get('a/index').categories[0][0]")))
        for what, selector, value in (
            ("search for a file", "#search", "00012"),
            ("search for a product", "#search", str(sku)),
            ("visible to 50 %", "[aria-label='Visible to, %']", "50"),
            ("shorter side from 40 px", "[aria-label='Shorter side from, px']", "40"),
            ("order by products", "select:has(option[value=most])", "most"),
        ):
            times, told = [], ""
            for _ in range(REPEATS):
                took, told = last.evaluate(FILTERED, [selector, value])
                times.append(took)
                last.evaluate(FILTERED, [selector, ""])
            line = f"median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms"
            print(f"| {what}, {count:,} images | {line} | {told} |")
        browser.close()


if __name__ == "__main__":
    main()
