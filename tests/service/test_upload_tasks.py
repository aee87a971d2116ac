"""Uploads of every format, and what can be asked of them."""

import io
from typing import Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from pyarrow import parquet

from tests.service.gateway import SPEC, JsonObject, MakeClient, pointers, problem

ROWS = [
    {"id": f"s{row // 4}", "t": row, "x": row / 2, "y": "ab"[row // 4 % 2], "none": None}
    for row in range(60)
]
TEXT = "the quick brown fox jumps over the lazy dog\n" * 40
CLASSIFY: JsonObject = {
    "kind": "classify", "sequence_id": "id", "time": "t", "inputs": ["x"], "label": "y",
}  # fmt: skip


def packed(rows: list[JsonObject]) -> bytes:
    """The rows as a Parquet file."""
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def upload(client: TestClient, content: bytes, filename: str) -> JsonObject:
    """Upload a file that must be taken."""
    answer = client.post("/v1/datasets", files={"file": (filename, content)})
    assert answer.status_code == 201, answer.text
    record: JsonObject = answer.json()
    return record


def post(client: TestClient, record: JsonObject, task: JsonObject) -> Any:  # noqa: ANN401 - a response
    """Ask for a job on an upload."""
    dataset = {"kind": "upload", "dataset_id": record["id"], "task": task}
    return client.post("/v1/jobs", json=SPEC | {"dataset": dataset})


@pytest.fixture
def rows(client: TestClient) -> JsonObject:
    """Fifteen sequences of four rows, uploaded as Parquet."""
    return upload(client, packed(ROWS), "rows.parquet")


@pytest.fixture
def text(client: TestClient) -> JsonObject:
    """A plain text of 1,760 characters."""
    return upload(client, TEXT.encode(), "fox.txt")


def test_format_of_an_upload_is_answered(rows: JsonObject, text: JsonObject) -> None:
    """What was uploaded, its rows and columns, whatever the format."""
    assert (rows["format"], rows["rows"]) == ("parquet", 60)
    assert [column["type"] for column in rows["columns"]] == [
        "text", "integer", "number", "text", "integer",
    ]  # fmt: skip
    assert (text["format"], text["rows"]) == ("text", 40)
    assert text["preview"]["rows"][0] == [TEXT[:44]]


def test_json_lines_are_taken(client: TestClient) -> None:
    """One object a line makes a table, too."""
    record = upload(client, b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n', "rows.jsonl")

    assert (record["format"], record["preview"]["rows"]) == ("jsonl", [[1, "x"], [2, "y"]])


def test_every_task_that_fits_is_taken(
    client: TestClient, rows: JsonObject, text: JsonObject
) -> None:
    """A forecast and a classification of rows, the next character of a text."""
    forecast = {"kind": "forecast", "target": "x", "inputs": ["x"], "seq_len": 5}

    answers = [
        post(client, rows, forecast),
        post(client, rows, CLASSIFY),
        post(client, text, {"kind": "next_token"}),
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert answers[2].json()["spec"]["dataset"]["task"] == {
        "kind": "next_token", "seq_len": 100, "column": "text",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"sequence_id": "z"}, "/dataset/task/sequence_id"),
        ({"sequence_id": "none"}, "/dataset/task/sequence_id"),
        ({"time": "y"}, "/dataset/task/time"),
        ({"inputs": ["x", "y"]}, "/dataset/task/inputs/1"),
        ({"label": "x"}, "/dataset/task/label"),
        ({"label": "z"}, "/dataset/task/label"),
        ({"max_seq_len": 1}, "/dataset/task/max_seq_len"),
    ],
)
def test_classification_that_the_data_cannot_answer_is_named(
    client: TestClient, rows: JsonObject, changes: JsonObject, pointer: str
) -> None:
    """The place of the spec that does not fit is named before a job is stored."""
    assert pointers(problem(post(client, rows, CLASSIFY | changes), 422)) == [pointer]


def test_too_few_rows_for_seven_sequences_are_named(client: TestClient) -> None:
    """Six rows cannot be seven sequences."""
    record = upload(client, packed(ROWS[:6]), "rows.parquet")

    body = problem(post(client, record, CLASSIFY), 422)

    assert pointers(body) == ["/dataset/task/sequence_id"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"seq_len": 264}, "/dataset/task/seq_len"),
        ({"column": "words"}, "/dataset/task/column"),
    ],
)
def test_text_that_is_too_short_or_not_there_is_named(
    client: TestClient, text: JsonObject, changes: JsonObject, pointer: str
) -> None:
    """1,760 characters are enough for windows of 263."""
    assert post(client, text, {"kind": "next_token", "seq_len": 263}).status_code == 201

    body = problem(post(client, text, {"kind": "next_token"} | changes), 422)

    assert pointers(body) == [pointer]


def test_column_of_numbers_is_no_text(client: TestClient, rows: JsonObject) -> None:
    """Only text has characters to predict."""
    body = problem(post(client, rows, {"kind": "next_token", "column": "t"}), 422)

    assert pointers(body) == ["/dataset/task/column"]


def test_parquet_bomb_names_the_limit(make_client: MakeClient) -> None:
    """A small file that would unpack to too much is a 422 that names the setting."""
    client = make_client(max_unpacked_bytes=100_000)
    content = packed([{"a": "y" * 1_000}] * 1_000)

    answer = client.post("/v1/datasets", files={"file": ("a.parquet", content)})

    assert len(content) < 10_000
    assert "max_unpacked_bytes" in problem(answer, 422)["detail"]
