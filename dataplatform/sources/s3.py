"""A landing in an S3 bucket, through obstore: one paged LIST for a folder, one GET for a file, nothing else.

Credentials come from AWS's own environment variables or from the machine's role, when the store is first asked, and
stay in it: an answer of S3 that refuses them repeats the key's name and what was signed, so that no text of an answer
goes into an error. Errors are `NoAnswerError` when there was no answer, `SourceRefusedError` when it was no.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from dataplatform.errors import NoAnswerError, PlatformError, SourceRefusedError
from dataplatform.settings import S3Prefix
from dataplatform.sources.base import FileRefusedError, Refusal
from dataplatform.sources.files import Found

if TYPE_CHECKING:
    from obstore.store import S3Store

    from dataplatform.settings import Settings

CONNECT_SECONDS, SILENT_SECONDS, REQUEST_SECONDS = 5, 10, 600
"""How long a connection, a wait for the next bytes and a whole request may take."""
_FOLDER = "folder"
"""The stamp of what is no object but the beginning of other objects' names."""
_STATUS, _CODE, _KIND = re.compile(r"status: (\d{3})"), re.compile(r"<Code>(\w+)</Code>"), re.compile(r"kind: (\w+)")
_SYSTEM = re.compile(r'message: "([^"]*)"|"(dns error)"')
_BUSY = frozenset({"RequestTimeout", "SlowDown", "ServiceUnavailable", "InternalError"})
_CREDENTIALS = frozenset(
    {
        "AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed",
        "SignatureDoesNotMatch", "XAdminUserNotFound",
    }
)  # fmt: skip
_GIVE = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role that may list and read"

T = TypeVar("T")


def open_store(place: S3Prefix, settings: Settings, *, retries: int = 0) -> S3Store:
    """The store of a bucket's prefix by the settings, asking nothing yet. It tries a request again `retries` times."""
    from obstore.store import S3Store

    endpoint = settings.s3_endpoint
    if endpoint and not settings.s3_path_style:
        parts = urlsplit(endpoint)
        endpoint = urlunsplit(parts._replace(netloc=f"{place.bucket}.{parts.netloc}"))
    given: dict[str, Any] = {"endpoint": endpoint or None, "region": settings.s3_region or None}
    return S3Store(
        place.bucket,
        prefix=place.prefix or None,
        client_options={
            **({"allow_http": True} if endpoint.startswith("http://") else {}),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=SILENT_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
        },
        retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=REQUEST_SECONDS)},
        virtual_hosted_style_request=not settings.s3_path_style,
        **{name: value for name, value in given.items() if value is not None},
    )


class S3Files:
    """The landing below a bucket's prefix. Made without asking; the first call connects."""

    def __init__(self, place: S3Prefix, settings: Settings) -> None:
        self._place, self._settings = place, settings

    def __repr__(self) -> str:
        return f"S3Files({self._place})"

    @cached_property
    def _store(self) -> S3Store:
        return open_store(self._place, self._settings)

    def list(self, folder: str) -> Sequence[Found]:
        """One LIST for every thousand entries. Names that begin with another folder's are one entry, without bytes."""
        import obstore

        store = self._store
        try:
            found = _interruptible(lambda: obstore.list_with_delimiter(store, folder))
        except Exception as error:  # noqa: BLE001 - whatever the client raises is told apart by what it says
            raise self._told(error, f"{self._place}/{folder} cannot be listed") from None
        entries = [Found(name, 0, _FOLDER) for name in found["common_prefixes"]]
        for item in found["objects"]:
            stamp = item["e_tag"] or item["last_modified"].isoformat()
            entries.append(Found(item["path"], item["size"], stamp))
        return sorted(entries)

    def read(self, name: str) -> bytes:
        import obstore

        store = self._store
        try:
            return _interruptible(lambda: bytes(obstore.get(store, name).bytes()))
        except FileNotFoundError:
            raise FileRefusedError(
                Refusal.NOT_A_FILE, f"{name}: leads nowhere: there is no such object; deliver the file itself"
            ) from None
        except ValueError:
            raise FileRefusedError(
                Refusal.OUTSIDE_LANDING, f"{name}: is no name below the landing; deliver the file itself"
            ) from None
        except Exception as error:  # noqa: BLE001 - as above
            if _CODE.findall(str(error))[:1] == ["AccessDenied"]:
                raise FileRefusedError(
                    Refusal.UNREADABLE, f"{name}: may not be read: access denied; give the platform's role the right to"
                ) from None
            raise self._told(error, f"{name}: cannot be read now") from None

    def _told(self, error: Exception, what: str) -> PlatformError:
        """What a failed request amounts to, in words that hold nothing of the answer but its status and code."""
        text = str(error)
        status, code, answer = _answer(text)
        if code == "NoSuchBucket":
            return SourceRefusedError(f"{what}: there is no bucket {self._place.bucket}; set DATAPLATFORM_LANDING")
        if status in (401, 403) or code in _CREDENTIALS:
            return SourceRefusedError(f"{what}: the credentials are refused ({answer}); {_GIVE}")
        if "/latest/api/token" in text or "169.254.170" in text:
            return SourceRefusedError(f"{what}: there are no credentials; {_GIVE}")
        if "BareRedirect" in text:
            return SourceRefusedError(f"{what}: the bucket is in another region; set DATAPLATFORM_S3_REGION")
        if 400 <= status < 500 and status not in (408, 429) and code not in _BUSY:
            return SourceRefusedError(f"{what}: {answer}; see DATAPLATFORM_LANDING and DATAPLATFORM_S3_ENDPOINT")
        return NoAnswerError(what, answer or _reason(text))


def answer_of(error: Exception) -> str:
    """What S3 answered to a request that failed, its status and code alone, or why there was no answer."""
    return _answer(str(error))[2] or _reason(str(error))


def _answer(text: str) -> tuple[int, str, str]:
    """Status (0: none), code and both in words."""
    status = int(found[1]) if (found := _STATUS.search(text)) else 0
    code = found[1] if (found := _CODE.search(text)) else ""
    return status, code, f"HTTP {status} {code}".strip() if status else code


def _reason(text: str) -> str:
    """Why there was no answer, from what the client says of the connection."""
    system = _SYSTEM.search(text)
    if system is not None:
        return (system[1] or system[2]).lower()
    kind = found[1] if (found := _KIND.search(text)) else ""
    return {"Timeout": "no answer in time", "Interrupted": "the connection broke"}.get(kind, "no answer of S3's")


def _interruptible(call: Callable[[], T]) -> T:
    """The result of `call`, made in a thread of its own: the client does not notice Ctrl-C while it waits."""
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=work, daemon=True).start()
    done.wait()
    if errors:
        raise errors[0]
    return results[0]
