import base64
import hashlib
import re

import pytest
from fastapi.testclient import TestClient

from service.docs import ASSETS
from tests.service.gateway import problem


def test_page_asks_nobody_else(client: TestClient) -> None:
    """The page of the interactive documentation names no other host, and its files are served."""
    page = client.get("/docs").text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)

    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(addresses) == 3
    assert "//" not in script
    assert "http" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert all(client.get(address).status_code == 200 for address in addresses)


def test_policy_allows_the_page_s_own_script_only(client: TestClient) -> None:
    """The one inline script is allowed by its hash, and scripts of others are not."""
    answer = client.get("/docs")
    (script,) = re.findall(r"<script>(.*?)</script>", answer.text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    policy = answer.headers["content-security-policy"]

    assert f"script-src 'self' 'sha256-{digest}'" in policy
    assert "default-src 'self'" in policy


def test_vendored_files_are_what_is_written_down() -> None:
    """Each vendored file has the checksum in VENDOR.md, and none is there unnamed."""
    table = re.findall(
        r"^\| (\S+) \| ([0-9a-f]{64}) \|$", (ASSETS / "VENDOR.md").read_text(), re.MULTILINE
    )

    assert dict(table) == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in ASSETS.iterdir()
        if path.name != "VENDOR.md"
    }


def test_root_leads_to_the_page(client: TestClient) -> None:
    """Whoever opens the service's address lands on its documentation."""
    assert client.get("/", follow_redirects=False).headers["location"] == "/docs"


@pytest.mark.parametrize("name", ["none.js", "..%2F..%2Fapp.py", "%00", ""])
def test_only_the_page_s_own_files_are_served(client: TestClient, name: str) -> None:
    """Any other name below the page's files is a 404 problem."""
    problem(client.get(f"/ui/swagger/{name}"), 404)


def test_vendored_release_and_licence_are_named() -> None:
    """Whoever updates the files finds what they are and under which licence."""
    text = (ASSETS / "VENDOR.md").read_text()

    assert "swagger-ui-dist 5.35.0" in text
    assert "Apache-2.0" in text
