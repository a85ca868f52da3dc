"""CSS-in-JS of an app that was built, at the BFF with its default Content-Security-Policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.stub import Stub, serve
from tests.interop.react.template import build, from_document

WAIT_MS = 20_000
APP = """
import { useState } from "react";
import { css, Global } from "@emotion/react";
import emotion from "@emotion/styled";
import styled, { createGlobalStyle, keyframes } from "styled-components";

const turn = keyframes`from { opacity: 1 } to { opacity: 0.5 }`;
const Everywhere = createGlobalStyle`body { background-color: rgb(1, 2, 3) }`;
const Styled = styled.p<{ $on: boolean }>`
  color: ${({ $on }) => ($on ? "rgb(7, 8, 9)" : "rgb(4, 5, 6)")}; animation: ${turn} 1s;`;
const Emotion = emotion.p<{ on: boolean }>(({ on }) => ({
  color: on ? "rgb(17, 18, 19)" : "rgb(14, 15, 16)",
}));

export default function App() {
  const [on, setOn] = useState(false);
  return (
    <main>
      <Everywhere />
      <Global styles={css`main { border-top: 3px solid rgb(21, 22, 23) }`} />
      <Styled $on={on}>styled</Styled>
      <Emotion on={on}>emotion</Emotion>
      <button style={{ color: "rgb(31, 32, 33)" }} onClick={() => setOn(true)}>change</button>
    </main>
  );
}
"""
INJECTED = """text => {
    const style = document.createElement("style");
    style.textContent = text;
    document.head.append(style);
    return style.sheet !== null;
}"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = from_document(tmp_path_factory.mktemp("css") / "app")
    (folder / "src/App.tsx").write_text(APP)
    return build(folder)


@pytest.fixture
def stub(app: Path) -> Iterator[Stub]:
    with serve(Stub(spa_dir=app)) as stub:
        yield stub


@pytest.fixture
def page(browser: Browser, stub: Stub) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(stub.origin)
    expect(page.get_by_role("button")).to_be_visible(timeout=WAIT_MS)
    yield page
    context.close()


def test_the_styles_of_two_libraries_stay(page: Page) -> None:
    for color in (("rgb(4, 5, 6)", "rgb(14, 15, 16)"), ("rgb(7, 8, 9)", "rgb(17, 18, 19)")):
        expect(page.get_by_text("styled")).to_have_css("color", color[0], timeout=WAIT_MS)
        expect(page.get_by_text("emotion")).to_have_css("color", color[1], timeout=WAIT_MS)
        page.get_by_role("button").click()
    expect(page.locator("body")).to_have_css("background-color", "rgb(1, 2, 3)")
    expect(page.locator("main")).to_have_css("border-top-color", "rgb(21, 22, 23)")
    expect(page.get_by_role("button")).to_have_css("color", "rgb(31, 32, 33)")


def test_an_injected_style_with_a_text_stays_blocked(page: Page) -> None:
    assert page.evaluate(INJECTED, "") is True
    for text in ("body { color: rgb(66, 66, 66) }", " ", "/**/"):
        assert page.evaluate(INJECTED, text) is False
    page.evaluate("""document.body.innerHTML +=
        "<style>body{color:rgb(66,66,66)}</style><i style='color:rgb(66,66,66)'>x</i>" """)
    expect(page.locator("i")).not_to_have_css("color", "rgb(66, 66, 66)")
    expect(page.locator("body")).not_to_have_css("color", "rgb(66, 66, 66)")
