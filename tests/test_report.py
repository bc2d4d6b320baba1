import json
import math
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from lightning_gans import GAN
from lightning_gans.callbacks import Report, SampleGrid, TrainingHealth
from lightning_gans.callbacks.pages.page import MOST_POINTS, chart, thinned
from lightning_gans.callbacks.pages.report import MOST_GRIDS, write_report
from lightning_gans.callbacks.words import number, words
from tests.conftest import Judge, Line, loader, tiny, trainer

HOSTILE = "</script><img src=x onerror=alert(1)> & \"'"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CONFIG = """\
model:
  class_path: lightning_gans.GAN
  init_args:
    objective: {class_path: lightning_gans.objectives.Hinge}
data: {class_path: lightning_gans.datamodules.MNISTDataModule}
"""


class Page(HTMLParser):
    """What stands in a page: the text of its sections, its tags, its charts."""

    def __init__(self, html):
        super().__init__()
        self.section, self.sections, self.tags = "", {}, []
        self.feed(html)
        self.charts = [
            json.loads(attributes["data-chart"]) for _, attributes in self.tags if "data-chart" in attributes
        ]

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.section = dict(attributes)["id"] if tag == "section" else self.section

    def handle_endtag(self, tag):
        self.section = "" if tag == "section" else self.section

    def handle_data(self, data):
        self.sections[self.section] = self.sections.get(self.section, "") + data + " "

    def lines(self, axis):
        return {line["name"]: line["points"] for chart in self.charts if chart["x"] == axis for line in chart["lines"]}


def report(folder):
    return Page(write_report(folder).read_text(encoding="utf-8"))


def entry(stage, kimg, **scores):
    protocol = {"features": "DigitClassifier", "versions": {"torch": "2.6"}, "command": HOSTILE}
    facts = {"scorer": "GenerativeMetrics", "stage": stage, "step": int(1000 * kimg), "kimg": kimg}
    return facts | {"scores": scores, "protocol": protocol}


def draw(path, value, size=(66, 66)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 255, (8, 8), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.NEAREST).save(path)


@pytest.fixture
def folder(tmp_path):
    """A made-up run."""
    run = tmp_path / "hinge_gan" / "version_3"
    for i, kimg in enumerate((0.0, 20.032, 40.0)):
        draw(run / "samples" / f"fake_{kimg:09.3f}kimg.png", i)
        draw(run / "samples" / f"landscape_{kimg:09.3f}kimg.png", 10 + i)
    draw(run / "samples" / "real.png", 20)
    draw(run / "samples" / "interpolation_linear.png", 21, (200, 40))
    draw(run / "truncation_samples.png", 22, (300, 40))
    (run / "config.yaml").write_text(f"{CONFIG}note: '{HOSTILE.replace(chr(39), '')}'\n")
    (run / "metrics.csv").write_text(
        "discriminator_loss/adversarial,discriminator_lr,epoch,fid,generator_loss/adversarial,generator_loss/cycle,"
        "health/diversity,health/gradient/discriminator,health/gradient/generator,kimg,step,strength\n"
        "0.5,0.1,0,,0.25,3,,,,20.0,9,0.1\n"
        ",,0,,,,0.75,12,0.02,,15,\n"
        "nan,0.1,1,,0.125,4,,,,40.0,19,0.2\n"
        ",,1,6.5,,,,,,,19,\n"
    )
    scores = [entry("validation", kimg, fid=fid, kid=0.25, kid_std=0.0625) for kimg, fid in ((20, 9.5), (40, 6.5))]
    scores += [entry("validation", 30, fid=math.nan, kid=0.5, kid_std=math.nan)]
    scores += [entry("test", 40, fid=6.25, kid=0.25, kid_std=0.0625, recall=0.5)]
    (run / "metrics.json").write_text(json.dumps(scores))
    (run / "truncation.csv").write_text(
        "# features: DigitClassifier\nthreshold,fid,inception_score,precision,recall,density,coverage,brightness\n"
        "0.5,200,2,0.5,0.1,0.5,0.2,0.4\n1.0,20,6,0.6,0.3,0.7,0.5,0.3\n2.0,5,8,0.7,0.4,0.9,0.7,0.2\n"
    )
    (run / "health.txt").write_text(f"The discriminator has won. {HOSTILE}\nSamples are alike.\n")
    return run


def test_a_report_shows_all_that_a_run_left(folder):
    page = report(folder)
    ids = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert ids == ("samples scores losses scores-over-time truncation health other-numbers protocol recipe".split())
    assert "hinge_gan version 3 · GAN · Hinge · MNISTDataModule · 40 thousand images" in page.sections[""]
    assert "FID 6.25" in page.sections["scores"] and "± 0.062" in page.sections["scores"]
    assert "The discriminator has won." in page.sections["health"]
    assert page.sections["protocol"].count("DigitClassifier") == 4
    assert "lightning_gans.objectives.Hinge" in page.sections["recipe"]


def test_curves_run_over_images_seen(folder):
    lines = report(folder).lines("thousand images")
    assert lines["adversarial"] == [[20, 0.25], [40, 0.125]]
    assert lines["cycle"] == [[20, 3], [40, 4]]
    assert lines["strength"] == [[20, 0.1], [40, 0.2]]
    assert lines["diversity"] == [[30, 0.75]]  # step 15 between steps 10 and 20
    assert lines["generator"] == [[30, 0.02]] and lines["discriminator"] == [[30, 12]]
    assert lines["validation"] == [[20, 0.25, 0.0625], [30, 0.5, 0], [40, 0.25, 0.0625]]
    assert "discriminator_lr" not in lines  # never changed


def test_curves_run_over_steps_where_images_were_not_counted(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,loss\n9,1.5\n19,0.5\n")
    assert report(tmp_path).lines("step") == {"loss": [[9, 1.5], [19, 0.5]]}


def test_a_number_that_is_not_finite_is_left_out(folder):
    lines = [line for chart in report(folder).charts for line in chart["lines"]]
    assert {"name": "adversarial", "points": [[20, 0.5]]} in lines
    assert {"name": "validation", "points": [[20, 9.5, 0], [40, 6.5, 0]]} in lines


def test_the_truncation_curve_names_its_thresholds(folder):
    page = report(folder)
    assert page.lines("Inception score")[""] == [[2, 200, "0.5"], [6, 20, "1"], [8, 5, "2"]]
    assert page.lines("threshold")["brightness"] == [[0.5, 2], [1, 1.5], [2, 1]]


def test_pictures_are_in_the_page_as_they_lie(folder):
    html = write_report(folder).read_text().replace("http://www.w3.org/2000/svg", "")  # a name, which nothing asks for
    assert html.count("data:image/png;base64,") == 9
    assert html.count('class="frame"') == 6
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html) and "http:" not in html and "https:" not in html


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ("samples", {"samples"}),
        ("metrics.csv", {"losses", "other-numbers"}),
        ("metrics.json", {"scores", "scores-over-time", "protocol"}),
        ("config.yaml", {"recipe"}),
        ("health.txt", set()),
        ("truncation.csv", set()),
        ("truncation_samples.png", set()),
    ],
)
def test_a_missing_part_is_left_out(folder, part, missing):
    def sections():
        return {attributes["id"] for tag, attributes in report(folder).tags if tag == "section"}

    path, whole = folder / part, sections()
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert whole - sections() == missing


def test_an_empty_folder_has_an_empty_report(tmp_path):
    page = report(tmp_path)
    assert not [tag for tag, _ in page.tags if tag == "section"]
    assert page.sections[""].strip().startswith(tmp_path.name)


def test_everything_is_escaped(folder):
    hostile = folder.with_name(re.sub("[/]", "", HOSTILE))
    folder.rename(hostile)
    draw(hostile / "samples" / "<b>bold.png", 1)
    page = report(hostile)
    assert not [tag for tag, attributes in page.tags if tag == "b" or "onerror" in attributes]
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert HOSTILE in page.sections["protocol"] and HOSTILE in page.sections["health"]


def test_text_of_a_run_is_no_template(folder):
    (folder / "health.txt").write_text("<!-- nav -->\\1\n")
    assert "<!-- nav -->\\1" in report(folder).sections["health"]


def test_many_grids_are_thinned_and_large_ones_compressed(folder):
    for i in range(2 * MOST_GRIDS):
        path = folder / "samples" / f"fake_{i:09.3f}kimg.png"
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (300, 300), dtype=np.uint8)).save(path)
    page = report(folder)
    frames = [float(a["data-kimg"]) for _, a in page.tags if a.get("class") == "frame" and "fake" in a["alt"]]
    assert len(frames) <= MOST_GRIDS and frames[0] == 0 and frames[-1] == 2 * MOST_GRIDS - 1
    assert all("data:image/webp" in a["src"] for tag, a in page.tags if tag == "img" and "truncation" not in a["alt"])


def test_a_long_curve_keeps_its_peaks():
    points = [(float(i), float(i == 12345)) for i in range(20000)]
    kept = thinned(points)
    assert len(kept) <= MOST_POINTS and (12345.0, 1.0) in kept and kept == sorted(kept)


@pytest.mark.parametrize(
    "value, text", [(2.647732, "2.648"), (50000, "50,000"), (0.0, "0"), (1e-7, "1e-07"), (-0.5, "-0.5")]
)
def test_numbers_are_written_for_people(value, text):
    assert number(value) == text


def test_names_are_written_for_people():
    assert [words(name) for name in ("fid", "truncated_fid", "kid", "kidney")] == [
        "FID",
        "Truncated FID",
        "KID",
        "Kidney",
    ]


def test_a_chart_is_named_by_its_title():
    assert "<figcaption>a &lt; b <small>c &amp; d</small>" in chart("a < b", {"": [(0, 1)]}, "x", "c & d")


def test_fit_ends_with_a_report_of_what_was_logged_last(tmp_path):
    logger = CSVLogger(tmp_path, name="tiny", flush_logs_every_n_steps=10_000)
    callbacks = [SampleGrid(every_kimg=0.032), Report()]
    trainer(tmp_path, 8, logger=logger, callbacks=callbacks, log_every_n_steps=1).fit(tiny(), loader())
    html = (tmp_path / "tiny" / "version_0" / "report.html").read_text()
    assert Page(html).lines("thousand images")["adversarial"][-1][0] == 0.064
    assert html.count('class="frame"') == 3


def test_a_test_renews_the_report_of_the_run_of_its_checkpoint(tmp_path):
    first = trainer(tmp_path, 2)
    module = tiny()
    first.fit(module, loader())
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    first.save_checkpoint(checkpoint)
    logger = CSVLogger(tmp_path, name="tests")
    trainer(tmp_path, logger=logger, callbacks=[Report()]).test(module, loader(), ckpt_path=str(checkpoint))
    assert sorted(path.parent.name for path in tmp_path.rglob("report.html")) == ["run"]


def test_a_fast_dev_run_writes_nothing(tmp_path):
    ours = Trainer(
        fast_dev_run=True, accelerator="cpu", default_root_dir=tmp_path, enable_progress_bar=False, callbacks=[Report()]
    )
    ours.fit(tiny(), loader())
    ours.test(tiny(), loader())
    assert not list(tmp_path.rglob("report.html"))


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "is_global_zero", property(lambda self: False))
    trainer(tmp_path, 2, callbacks=[Report()]).fit(tiny(), loader())
    assert not list(tmp_path.rglob("report.html"))


def test_what_training_health_warned_of_is_kept_for_the_report(tmp_path):
    class Shrunk(Line):
        def forward(self, latent):
            return super().forward(0 * latent)

    callbacks = [TrainingHealth(every_kimg=0.016, warmup_kimg=0.0), Report()]
    with pytest.warns(UserWarning) as caught:
        trainer(tmp_path, 16, callbacks=callbacks).fit(GAN(generator=Shrunk(), discriminator=Judge()), loader())
    kept = (tmp_path / "health.txt").read_text().splitlines()
    assert kept and set(kept) <= {str(warning.message) for warning in caught}
    html = (tmp_path / "report.html").read_text()
    assert all(sentence in Page(html).sections["health"] for sentence in kept)


# In a browser.


def browse(path, script):
    """Opens a page, runs a script behind it, and returns what its console said and what the script wrote."""
    page = path.with_name("driven.html")
    # The page's policy lets its own scripts run, and this one is of the page.
    page.write_text(path.read_text().replace("</body>", f"<script>{script}</script></body>"))
    assert BROWSER, "no chromium or chrome is installed to open the report in"
    command = [BROWSER, "--headless", "--disable-gpu", "--enable-logging=stderr", "--v=0", "--dump-dom", page.as_uri()]
    command += [f"--user-data-dir={path.parent / 'profile'}", "--window-size=1200,900"]
    command += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # it has none for root
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    written = re.search('<pre id="written">(.*?)</pre>', done.stdout, re.S)
    return said, json.loads(written[1]) if written else None


WRITE = """
const write = what => { const pre = document.createElement("pre"); pre.id = "written";
  pre.textContent = JSON.stringify(what); document.body.append(pre); };
"""
needs_browser = pytest.mark.skipif(  # where CI runs, a missing browser is a failure
    BROWSER is None and "CI" not in os.environ, reason="no chromium or chrome is installed to open the report in"
)


@needs_browser
def test_the_console_of_a_browser_is_heard(folder):
    said, _ = browse(write_report(folder), "nothing.there();")
    assert len(said) == 1 and "nothing is not defined" in said[0]


@needs_browser
def test_a_browser_lets_the_page_fetch_nothing(folder):
    said, _ = browse(write_report(folder), "new Image().src = 'file:///nowhere.png'; document.images[0].src = 'x.png';")
    assert said and all("Content Security Policy" in line for line in said)


@needs_browser
def test_the_slider_changes_the_pictures_in_a_browser_without_an_error(folder):
    script = (
        WRITE
        + """
const shown = () => [...document.querySelectorAll(".frame")].filter(f => f.checkVisibility()).map(f => f.alt);
const at = value => { slider.value = value; slider.dispatchEvent(new Event("input"));
  return [document.querySelector("output").textContent, ...shown()]; };
write([shown(), at(0), at(1), [...document.images].every(image => image.complete && image.naturalWidth > 0)]);
"""
    )
    said, (end, first, second, loaded) = browse(write_report(folder), script)
    assert said == [] and loaded
    assert end == ["fake_00040.000kimg", "landscape_00040.000kimg"]
    assert first == ["0", "fake_00000.000kimg", "landscape_00000.000kimg"]
    assert second == ["20.03", "fake_00020.032kimg", "landscape_00020.032kimg"]


@needs_browser
def test_the_charts_are_drawn_in_a_browser_and_answer_the_pointer(folder):
    script = (
        WRITE
        + """
const figures = [...document.querySelectorAll(".chart")], tips = figures.map(figure => {
  const plot = figure.querySelector(".plot"), box = plot.getBoundingClientRect();
  plot.dispatchEvent(new PointerEvent("pointermove", {clientX: box.right - 20, clientY: box.top + 60}));
  return figure.querySelector(".tip").innerText;
});
write([tips, figures.every(figure => figure.querySelector("path") && !figure.innerHTML.includes("NaN")),
  document.documentElement.scrollWidth <= innerWidth]);
"""
    )
    said, (tips, drawn, fits) = browse(write_report(folder), script)
    assert said == [] and drawn and fits
    assert "Thousand images 40\nAdversarial 0.125\nCycle 4" in tips
    assert "Inception score 8\nThreshold 2\nFID 5" in tips


@needs_browser
def test_an_empty_report_opens_in_a_browser_without_an_error(tmp_path):
    said, _ = browse(write_report(tmp_path), "")
    assert said == []
