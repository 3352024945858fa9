"""The file format: YAML, and the Open Data Contract Standard's own JSON Schema and model.

Says whether a file is a well-formed ODCS document. What its fields mean to the platform is read in `reader.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import yaml
from jsonschema import Draft201909Validator
from jsonschema.exceptions import ValidationError

from dataplatform.contracts.nodes import locate, suggest
from dataplatform.errors import ContractError

API_VERSIONS = ("v3.1.0", "v3.2.0")


class _Loader(yaml.CSafeLoader):
    """YAML as people expect it: NO is a country, 2011-12-09 is a text, and no key may stand twice.

    YAML 1.1 reads `NO` as false and a date as an object that JSON Schema does not know.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        super().flatten_mapping(node)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, test) for tag, test in resolvers if not tag.endswith((":bool", ":timestamp"))]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")


def parse(path: Path) -> dict[str, Any]:
    """The document in the file. Raises ContractError when it cannot be read or is not a YAML mapping."""
    try:
        document = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "whole file"
        reason = getattr(error, "problem", None) or str(error)
        raise ContractError([f"{path}: {place}: not readable as YAML: {reason}; correct the file"]) from error
    if not isinstance(document, dict):
        raise ContractError([f"{path}: whole file: not a YAML mapping; start with `apiVersion: {API_VERSIONS[0]}`"])
    return document


def structure_problems(document: dict[str, Any]) -> list[str]:
    """One line per place where the document breaks the standard: path, problem, fix."""
    errors = [_sharpest(error) for error in _validator().iter_errors(document)]
    told = [line for error in errors for line in _tell(document, error, errors)]
    return list(dict.fromkeys(told)) or model_problems(document)


@cache
def _validator() -> Draft201909Validator:
    text = files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    return Draft201909Validator(json.loads(text))


def _sharpest(error: ValidationError) -> ValidationError:
    """Of alternatives that all failed, the one whose shape was right and whose mistake lies deepest."""
    if _is_comparison(error):
        return error
    candidates = [_sharpest(each) for each in error.context or () if each.validator != "type"]
    return max(candidates, key=lambda each: len(each.absolute_path)) if candidates else error


def _is_comparison(error: ValidationError) -> bool:
    return error.validator == "oneOf" and "mustBe" in str(error.validator_value)


def _tell(document: Any, error: ValidationError, errors: Iterable[ValidationError]) -> list[str]:
    where = locate(document, error.absolute_path)
    value, expected = cast("Any", error.instance), cast("Any", error.validator_value)
    place = f"{where}: " if where else ""
    match error.validator:
        case "additionalProperties" if where.endswith(".logicalTypeOptions"):
            return []  # told with the column's type where the options are read
        case "additionalProperties" | "unevaluatedProperties":
            return [place + line for line in _unexpected(error, errors)]
        case "required":
            missing = [key for key in expected if key not in value]
            return [f"{place}key {key!r} is missing; add it" for key in missing]
        case "type":
            return [f"{place}{value!r} is not of type {expected}; write it as one"]
        case "enum":
            return [f"{place}{value!r} is not known; {suggest(str(value), map(str, expected))}"]
        case "pattern":
            return [f"{place}{value!r} does not match {expected}; correct it"]
        case "oneOf" if _is_comparison(error):
            return [f"{place}exactly one comparison is needed; give one of mustBe, mustNotBe, mustBeBetween, …"]
        case _:
            return [f"{place}{error.message}; see the Open Data Contract Standard"]


def _unexpected(error: ValidationError, errors: Iterable[ValidationError]) -> list[str]:
    """Keys the standard does not have here.

    A key is also reported as unexpected when the branch of the schema that knows it failed for another reason:
    known keys are told only where nothing else is wrong at or below this place.
    """
    known = _known_keys(cast("dict[str, Any]", error.schema))
    unknown = [str(key) for key in cast("dict[str, Any]", error.instance) if key not in known]
    if unknown:
        return [f"unknown key {key!r}; {suggest(key, known)}" for key in unknown]
    here = list(error.absolute_path)
    if any(list(each.absolute_path)[: len(here)] == here and each.message != error.message for each in errors):
        return []
    misplaced = re.findall(r"'([^']+)'", error.message)
    return [f"key {key!r} does not belong here; remove it" for key in misplaced]


def _known_keys(schema: dict[str, Any]) -> set[str]:
    keys = set(schema.get("properties", {}))
    for part in [*schema.get("allOf", ()), *schema.get("oneOf", ()), *filter(None, [schema.get("then")])]:
        keys |= _known_keys(part)
    if "$ref" in schema:
        definitions = cast("dict[str, Any]", _validator().schema)["$defs"]
        keys |= _known_keys(definitions[schema["$ref"].rsplit("/", 1)[-1]])
    return keys


def model_problems(document: dict[str, Any]) -> list[str]:
    """What the package's model refuses although the JSON Schema accepts it."""
    from open_data_contract_standard.model import OpenDataContractStandard
    from pydantic import ValidationError as ModelError

    try:
        OpenDataContractStandard.model_validate(document)
    except ModelError as error:
        return [f"{'.'.join(map(str, each['loc']))}: {each['msg']}; correct the value" for each in error.errors()]
    return []
