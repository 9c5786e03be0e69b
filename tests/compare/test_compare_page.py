"""The report's page: by its text, and in a browser where Playwright finds one."""

import base64
import hashlib
import shutil
from html.parser import HTMLParser
from io import BytesIO

import imageio.v3 as imageio
import numpy as np
import pytest
from skimage import data

from nlmeans.compare.cases import PictureCase
from nlmeans.compare.methods import Candidate
from nlmeans.compare.page import page
from nlmeans.compare.run import Outcome
from nlmeans.compare.scores import quantised
from nlmeans.compare.tables import MethodRow
from nlmeans.compare.work import CaseTask

HOSTILE = "<img src=x onerror=window.hacked=1>\"'&amp;.png"
METHOD = "results:</script><script>window.hacked=1</script>"
ROWS = [
    MethodRow(25, "noisy", 1, 20.2, 0.5, 0.5, version="1"),
    MethodRow(25, "classic", 1, 29.5, 0.8, 0.8, 0.05, 2, 1.5, "1"),
    MethodRow(25, METHOD, 1, 31.25, 0.9, 0.9, 12.0, 1, 30.0, note=f"{METHOD} </td>"),
    MethodRow(25, "absent", note="x is not installed"),
    MethodRow(25, "BM3D", psnr=9.0, note="a table", published=True),
    MethodRow(None, "classic", 1, float("inf"), 1.0, 1.0, 0.07, 2, 1.5, "1"),
]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The page as a file, with a picture of 300 x 40 pixels, of which the middle is shown."""
    folder = tmp_path_factory.mktemp("page")
    clean = data.camera()[100:140, 100:400]
    imageio.imwrite(folder / "clean.png", clean)
    case = PictureCase(HOSTILE, folder / "clean.png", 25.0)
    outcomes = []
    for name in ("noisy", "classic", METHOD):
        result = quantised(case.pictures()[1]) if name == "noisy" else clean // 2
        imageio.imwrite(folder / "result.png", result)
        task = CaseTask(case, Candidate(name))
        outcomes.append(Outcome(task, {"scores": {}}, folder / "result.png"))
    about = {"command": METHOD, "versions": {"nlmeans": "1", "numpy": HOSTILE}, "methods": ["a"]}
    text = page(f"{METHOD}: 1 picture", about, ROWS, outcomes, [f"{HOSTILE}: is uint16"])
    (folder / "index.html").write_text(text, encoding="utf-8")
    return folder / "index.html", case


class Tree(HTMLParser):
    """Checks that tags nest, and keeps tags and the text inside each kind."""

    EMPTY = ("meta", "img", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(text)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def tree(shown):
    return Tree(shown[0].read_text(encoding="utf-8"))


def test_names_are_text_and_nothing_else(tree):
    assert len(tree.all("script")) == 1
    assert all(image["src"].startswith("data:image/png;base64,") for image in tree.all("img"))
    assert not any(key.startswith("on") for _, attributes in tree.tags for key in attributes)
    assert "".join(tree.texts["figcaption"]) == f"{HOSTILE}, sigma 25"
    assert METHOD in tree.texts["td"]
    assert METHOD in tree.texts["option"]
    assert f"{HOSTILE}: is uint16" in tree.texts["li"]
    assert tree.texts["title"][:1] == [f"nlmeans compare: {METHOD}: 1 picture"]


def test_nothing_is_loaded_and_no_other_script_runs(shown, tree):
    text = shown[0].read_text(encoding="utf-8")
    assert not [a for _, a in tree.tags if "href" in a]
    policy = next(m["content"] for m in tree.all("meta") if "http-equiv" in m)
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag in ("style", "script"):
        inside = text.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not [a for _, a in tree.tags if "style" in a]  # the policy would refuse them


def picture(attributes):
    return imageio.imread(BytesIO(base64.b64decode(attributes["src"].split(",")[1])))


def test_pictures_and_method_noise(shown, tree):
    clean, noisy = shown[1].pictures()
    middle = slice(22, 278)
    images = {image["alt"]: picture(image) for image in tree.all("img")}
    assert list(images) == [
        "noisy",
        "clean",
        "classic",
        METHOD,
        "method noise of classic",
        f"method noise of {METHOD}",
    ]
    np.testing.assert_array_equal(images["clean"], clean[:, middle])
    np.testing.assert_array_equal(images["noisy"], quantised(noisy)[:, middle])
    np.testing.assert_array_equal(images["classic"], clean[:, middle] // 2)
    taken = np.clip(np.rint(255.0 * noisy - clean // 2 + 128), 0, 255)[:, middle]
    assert np.abs(images["method noise of classic"] - taken).max() <= 1


def test_plots_have_a_point_for_each_time(tree):
    assert len(tree.all("svg")) == 1  # an infinite PSNR has no place on one
    assert len(tree.all("circle")) == 2
    assert {"classic", METHOD} <= set(tree.texts["text"])
    for circle in tree.all("circle"):
        assert 50 <= float(circle["cx"]) <= 540
        assert 15 <= float(circle["cy"]) <= 240


def test_a_point_of_fewer_pictures_says_so():
    row = MethodRow(25, "classic", 1, 29.5, 0.8, 0.8, 0.05, 2, 1.5, "1", all_images=2)
    assert "classic (1 of 2)" in Tree(page("some", {}, [row], [], [])).texts["text"]


def test_a_page_without_times_pictures_or_problems():
    tree = Tree(page("none", {}, [MethodRow(25, "noisy", 1, 20.0)], [], []))
    assert tree.all("figure") == tree.all("circle") == tree.all("li") == []
    assert "Nothing was timed." in tree.texts["p"]


# --------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser():
    """Chromium: Playwright's own, or one that is installed."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
        programs = [None, *filter(None, map(shutil.which, names))]
        for program in programs:
            try:
                found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
                break
            except api.Error:
                continue
        else:
            pytest.skip("there is no Chromium")
        yield found
        found.close()


@pytest.fixture
def view(browser, shown):
    """The page, opened; at the end nothing may have gone wrong or been asked for."""
    said, asked = [], []
    tab = browser.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: said.append(dialog.message))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(shown[0].as_uri())
    yield tab
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [shown[0].as_uri()]
    tab.close()


def test_hostile_names_stay_names(view):
    assert view.evaluate("window.hacked") is None
    assert view.locator("figcaption").inner_text() == f"{HOSTILE}, sigma 25"
    assert view.locator("figure img").count() == 6
    assert view.locator("script").count() == 1


def column(view, k):
    return view.locator(f"tbody tr td:nth-child({k})").all_inner_texts()


def test_the_table_sorts(view):
    psnr = view.get_by_role("button", name="PSNR dB")
    psnr.click()
    assert column(view, 4) == ["9.00", "20.20", "29.50", "31.25", "inf", "-"]
    psnr.click()
    assert column(view, 4) == ["inf", "31.25", "29.50", "20.20", "9.00", "-"]
    assert view.locator("th[aria-sort]").count() == 1
    view.get_by_role("button", name="s/MP").click()
    assert column(view, 7)[:3] == ["0.05", "0.07", "12"]
    view.get_by_role("button", name="method").click()
    assert column(view, 2) == ["absent", "BM3D (published)", "classic", "classic", "noisy", METHOD]


def test_the_slider_moves_the_line(view):
    right = view.locator("img.right")
    clip = "element => getComputedStyle(element).clipPath"
    assert right.evaluate(clip) == "inset(0px 0px 0px 50%)"
    slider = view.get_by_role("slider")
    slider.focus()
    view.keyboard.press("Home")
    assert right.evaluate(clip) == "inset(0px 0px 0px 0%)"
    whole = np.asarray(imageio.imread(view.locator(".views").screenshot())).mean()
    view.keyboard.press("End")
    assert right.evaluate(clip) == "inset(0px 0px 0px 100%)"
    other = np.asarray(imageio.imread(view.locator(".views").screenshot())).mean()
    assert other > 1.3 * whole  # the noisy picture is twice as bright as the result


def test_either_side_shows_what_is_chosen(view):
    visible = view.locator(".views img:visible")
    assert [image.get_attribute("alt") for image in visible.all()] == ["noisy", "classic"]
    view.locator("select.left").select_option("clean")
    view.locator("select.right").select_option(f"method noise of {METHOD}")
    assert [image.get_attribute("alt") for image in visible.all()] == [
        "clean",
        f"method noise of {METHOD}",
    ]
    view.locator("select.left").select_option(f"method noise of {METHOD}")
    assert visible.count() == 1


def test_narrow_screens_do_not_scroll_sideways(view):
    view.set_viewport_size({"width": 380, "height": 700})
    assert view.evaluate("document.documentElement.scrollWidth") <= 380
