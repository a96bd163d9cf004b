"""Chats, documents and preferences: files and hub repositories, read, checked and split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp.report import RunRecord, Section
    from storm_report.look.view import View

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the sources of data and questions, the decontaminator, and the exporter of rows."""
    from storm_data.decontaminators.ngrams import Ngrams
    from storm_data.exports.jsonl_files import Jsonl
    from storm_data.questions.question_file import QuestionFile
    from storm_data.sources.chat_jsonl import ChatJsonl
    from storm_data.sources.dataset_excerpt import DatasetExcerpt
    from storm_data.sources.dataset_path import DatasetPath
    from storm_data.sources.hub_chat import HubChat
    from storm_data.sources.hub_documents import HubDocuments
    from storm_data.sources.hub_preferences import HubPreferences
    from storm_data.sources.preference_jsonl import PreferenceJsonl
    from storm_data.sources.text_documents import TextDocuments

    return [
        ChatJsonl,
        HubChat,
        TextDocuments,
        HubDocuments,
        PreferenceJsonl,
        HubPreferences,
        DatasetPath,
        DatasetExcerpt,
        Jsonl,
        QuestionFile,
        Ngrams,
    ]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    """Return the packages that components need, and the extra that installs them."""
    return ("pyarrow",), "train"


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's sections on the rows that were read, and on questions among them."""
    from storm_data import report
    from storm_data.decontamination import report as contamination

    return [*report.sections(run), *contamination.sections(run)]


@hookimpl
def storm_views() -> list[View]:
    """Return the views of data sets and of files of rows."""
    from storm_data.look.dataset_view import DatasetView
    from storm_data.look.file_view import FileView

    return [DatasetView(), FileView()]
