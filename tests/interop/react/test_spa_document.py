"""A new app of Vite's newest template, with what docs/spa.md says, compiles and signs in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.installation import Installation, installation
from tests.browser.stub import Stub, serve
from tests.interop.react.template import (
    HERE,
    ROOT,
    add_compiler_options,
    build,
    document_block,
    from_document,
    run,
)
from tests.support.cluster import EMAIL, PASSWORD

WAIT_MS = 20_000
STRICT = {"compilerOptions": {"strict": True, "exactOptionalPropertyTypes": True,
                              "noUncheckedIndexedAccess": True, "skipLibCheck": False}}  # fmt: skip
USES = """
import { apiFetch, apiJSON, login, logout, profile, report, session, stepUpURL, fetch, ProblemError,
  type Profile, type StepUp } from "/auth/client.js";
session.addEventListener("session-ended", ({ detail }) => console.log(detail.reason.length));
session.addEventListener("session-changed", ({ detail }) => detail.same_user || location.reload());
session.addEventListener("session-began", ({ detail }) => console.log(detail.profile.user.sub));
session.addEventListener("step-up-required", ({ detail }) => location.assign(detail.login_url));
session.addEventListener("anything-else", (event: Event) => console.log(event.type));
export const me: Profile | null = await profile({ slide: true });
export const name: string = me?.user.name ?? "";
export const roles: unknown = me?.user["https://app.example/roles"];
export const left: number | null | undefined = me?.session.access_token_seconds_left;
export const response: Response = await apiFetch("/api/orders", { method: "POST" });
export const url: string | null = stepUpURL(await fetch("/api/orders"));
export const orders = await apiJSON<{ id: number }[]>("/api/orders", { method: "POST" });
export const ids: number[] = orders.map(({ id }) => id);
export const told: ProblemError | null = await report(undefined);
export const help: string | null = told?.login_url ?? stepUpURL(response);
export const stepUp: StepUp = { login_url: "/auth/login" };
login({ returnTo: "/", max_age: 0, kc_idp_hint: "x" });
login({ session_transfer_token: new URLSearchParams(location.search).get("token") });
login({ returnTo: null, login_hint: new URLSearchParams(location.search).get("hint") });
logout().catch((error) => error instanceof ProblemError && error.code === "overloaded");
"""
MISUSES = [
    'import { profiles } from "/auth/client.js"; profiles();',
    'import { profile } from "/auth/client.js"; (await profile()).user;',
    'import { login } from "/auth/client.js"; login({ prompt: { none: true } });',
    'import { login } from "/auth/client.js"; login({ session_transfer_token: 7 });',
    'import { session } from "/auth/client.js"; session.addEventListener("session-ended", '
    "({ detail }) => detail.profile);",
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return from_document(tmp_path_factory.mktemp("react") / "app")


@pytest.fixture(scope="module")
def running(app: Path) -> Iterator[Installation]:
    with installation(env={"BFF_SPA_DIR": str(build(app))}) as running:
        yield running


def test_the_types_are_those_of_the_module(tmp_path: Path) -> None:
    script = json.loads((HERE / "package.json").read_text())["scripts"]["client-types"]
    told = run(HERE, *script.split(), str(tmp_path))
    assert told.returncode == 0, told.stdout
    made, kept = tmp_path / "client.d.ts", ROOT / "bff/web/static/client.d.ts"
    assert made.read_text() == kept.read_text(), "run make client-types"


def test_strict_code_that_uses_every_export_compiles(tmp_path: Path) -> None:
    app = from_document(tmp_path / "app")
    add_compiler_options(app, STRICT)
    (app / "src/uses.ts").write_text(USES)
    (app / "src/queries.tsx").write_text(document_block("tsx", "useQuery"))
    (app / "src/axios.ts").write_text(document_block("ts", "axios.create"))
    told = run(app, "tsc", "-p", "tsconfig.app.json")
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("misuse", MISUSES)
def test_a_mistake_is_found_by_the_compiler(tmp_path: Path, misuse: str) -> None:
    app = from_document(tmp_path / "app")
    add_compiler_options(app, STRICT)
    (app / "src/misuse.ts").write_text(f"{misuse} export {{}};")
    told = run(app, "tsc", "-p", "tsconfig.app.json")
    assert "src/misuse.ts" in told.stdout
    assert "TS2307" not in told.stdout, "the module was found"


def test_the_app_of_the_document_recovers_from_an_outage(app: Path, browser: Browser) -> None:
    with serve(Stub(spa_dir=build(app), signed_in=True)) as stub:
        page = browser.new_page()
        page.set_default_timeout(WAIT_MS)
        page.route("**/auth/profile", lambda route: route.abort())
        page.goto(stub.origin)
        alert, name = page.get_by_role("alert"), page.get_by_role("heading", name="Dana Demo")
        expect(alert).to_have_text("The server can't be reached.")
        page.unroute_all()
        expect(name).to_be_visible()
        expect(alert).to_be_hidden()
        stub.failing_status = 503
        page.get_by_role("button", name="Sign out").click()
        expect(alert).to_have_text("You are not signed out. Because of store_unavailable.")
        stub.failing_status = None
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        page.context.close()


def test_the_app_of_the_document_signs_in_and_out(browser: Browser, running: Installation) -> None:
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    problems: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(running.origin)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Dana Demo")).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=WAIT_MS)
    # The browser itself reports a 401 of the profile; nothing else may be wrong.
    assert [one for one in problems if "401" not in one] == []
    page.context.close()
