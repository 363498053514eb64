"""Access policies: what a remote caller can reach of an exposed object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, Final

from pyodide_msgchan._bridge.ffi import is_js_proxy
from pyodide_msgchan._codec.public import public_fields
from pyodide_msgchan._printing import short_repr

__all__ = ["AccessPolicy", "is_function"]


MAX_SHOWN_PATH: Final = 200
"""Characters of a path that are shown in an error."""


_FUNCTIONS: Final = (FunctionType, MethodType, BuiltinFunctionType, partial)


def is_function(value: object) -> bool:
    """Return True if a value is a function, which is sent as a proxy without a mark."""
    return isinstance(value, _FUNCTIONS) and not is_js_proxy(value)


class AccessPolicy:
    """An exposed object, and which of its names callers can reach.

    A path of one name reaches the object's own public methods and fields, the items of a dict, or
    what a module defines. Longer paths lead only through dicts, fields of dataclasses, and the
    paths in `nested`. Names with a leading underscore, ClassVars of dataclasses, and the members of
    a class, a function, a module or a JavaScript object in a field are never reachable.

    Args:
        root: the exposed object.
        nested: dotted paths of objects whose own methods and fields are reachable too.
        writable: dotted paths that may be assigned to.

    Raises:
        TypeError: the object is a JavaScript object, or a path is not a string.
        ValueError: a path has a private or an empty name in it.
    """

    __slots__ = ("_has_methods", "_nested", "_writable", "root")

    def __init__(
        self, root: object, nested: Iterable[str] = (), writable: Iterable[str] = ()
    ) -> None:
        if is_js_proxy(root):
            raise TypeError(
                "a JavaScript object can't be exposed: nothing declares what is safe to reach"
            )
        self.root: Any = root
        self._has_methods = not isinstance(root, (dict, ModuleType, type, *_FUNCTIONS))
        self._nested = _parse_paths("nested", nested)
        self._writable = _parse_paths("writable", writable)

    def get(self, path: tuple[str, ...]) -> Any:
        """Return the value at a path.

        Raises:
            AttributeError: the path is not reachable.
        """
        value = self._resolve(path)
        if isinstance(value, (type, ModuleType)) or is_js_proxy(value):
            raise _access_error(path, f"{_describe(value)} can't be read")
        return value

    def set(self, path: tuple[str, ...], value: Any) -> None:
        """Assign to a path.

        Raises:
            AttributeError: the path is not writable, or not reachable.
        """
        if path not in self._writable:
            raise _access_error(path, "it is not writable")
        owner = self._resolve_owner(path)
        if isinstance(owner, dict):
            owner[path[-1]] = value
            return
        attribute = _class_attribute(owner, path[-1])
        if callable(attribute) or isinstance(attribute, (classmethod, staticmethod)):
            raise _access_error(path, "a method can't be assigned to")
        setattr(owner, path[-1], value)

    def function(self, path: tuple[str, ...]) -> Callable[..., Any]:
        """Return the function to call at a path.

        Raises:
            AttributeError: the path is not reachable.
            TypeError: the value there is a class, not callable, or a JavaScript object.
        """
        root = self.root
        if len(path) == 1 and self._has_methods:  # a fast path; the code below returns the same
            (name,) = path
            if (
                type(type(root).__dict__.get(name)) is FunctionType
                and name[:1] != "_"
                and name not in getattr(root, "__dict__", ())
            ):
                return getattr(root, name)  # type: ignore[no-any-return]
        value = self._resolve(path)
        if isinstance(value, type):
            raise TypeError(f"{_format_path(path)} is a class: construct it with new()")
        if not callable(value) or is_js_proxy(value):
            raise TypeError(f"{_format_path(path)} is no function")
        return value  # type: ignore[no-any-return]

    def constructor(self, path: tuple[str, ...]) -> type:
        """Return the class at a path, to construct it: the root, a dict's item, or a module's own.

        Raises:
            AttributeError: the path is not reachable.
            TypeError: the value is not a class, or is a class that an object holds in a field.
        """
        value = self._resolve(path)
        if not isinstance(value, type):
            raise TypeError(f"{_format_path(path)} is no class")
        if path and not isinstance(self._resolve_owner(path), (dict, ModuleType)):
            raise TypeError(
                f"{_format_path(path)} is a class in a field, which can't be constructed"
            )
        return value

    def _resolve(self, path: tuple[str, ...]) -> Any:
        if not path:
            return self.root
        owner = self._resolve_owner(path)
        value = self._member(
            owner, path, fields_only=len(path) > 1 and path[:-1] not in self._nested
        )
        if (
            callable(value)
            and not isinstance(value, (type, *_FUNCTIONS))
            and path not in self._nested
            and _is_field(owner, path[-1])  # pyright: ignore[reportGeneralTypeIssues] - not empty
        ):
            raise _access_error(
                path, f"{_describe(value)} in a field is reachable only if it is declared"
            )
        return value

    def _resolve_owner(self, path: tuple[str, ...]) -> Any:
        """Return the object that has the last name of a path as its member."""
        owner = self.root
        for i in range(1, len(path)):
            prefix = path[:i]
            owner = self._member(
                owner, prefix, fields_only=i > 1 and prefix[:-1] not in self._nested
            )
            if isinstance(owner, (type, ModuleType, *_FUNCTIONS)) or is_js_proxy(owner):
                raise _access_error(path, f"{_format_path(prefix)} is {_describe(owner)}")
            if not (isinstance(owner, dict) or _is_dataclass(owner) or prefix in self._nested):
                raise _access_error(path, f"{_format_path(prefix)} is not declared as nested")
        return owner

    def _member(self, owner: Any, path: tuple[str, ...], *, fields_only: bool) -> Any:
        """Return the member of `owner` that the last name of a path names.

        Args:
            owner: the object at the rest of the path.
            path: the whole path, for errors.
            fields_only: accept only the fields of a dataclass, no methods.
        """
        name = path[-1]
        if name.startswith("_") or not name:
            raise _access_error(path, "it is private")
        if isinstance(owner, dict):
            if name not in owner:
                raise _access_error(path, "there is no such name")
            return owner[name]
        if isinstance(owner, ModuleType):
            return _module_member(owner, path)
        if isinstance(owner, (type, *_FUNCTIONS)):
            raise _access_error(path, f"it belongs to {_describe(owner)}")
        if fields_only and name not in public_fields(owner):
            raise _access_error(path, "it is no field of that dataclass")
        for kind in type(owner).__mro__:
            if name in vars(kind):
                if kind.__module__ == "builtins":
                    raise _access_error(path, f"it belongs to the built-in class {kind.__name__}")
                break
        else:
            if name not in getattr(owner, "__dict__", ()):
                raise _access_error(path, "there is no such name")
        return getattr(owner, name)


def _module_member(module: ModuleType, path: tuple[str, ...]) -> Any:
    """Return a member that a module exports: listed in `__all__`, or its own function or class."""
    listed, name = getattr(module, "__all__", None), path[-1]
    if name not in (vars(module) if listed is None else listed):
        raise _access_error(path, "there is no such name")
    value = getattr(module, name)
    if isinstance(value, ModuleType) or is_js_proxy(value):
        raise _access_error(path, f"it is {_describe(value)} that was imported")
    if callable(value) and getattr(value, "__module__", None) != module.__name__:
        raise _access_error(path, "it was imported")
    if listed is None and not isinstance(value, (FunctionType, type)):
        raise _access_error(path, "a module without __all__ exposes only its functions and classes")
    return value


def _class_attribute(owner: Any, name: str) -> Any:
    """Return an attribute of an object's class without binding it; None if there is none."""
    return next((vars(kind)[name] for kind in type(owner).__mro__ if name in vars(kind)), None)


def _is_field(owner: Any, name: str) -> bool:
    """Return True if the object holds a member itself, and its class does not define it."""
    if isinstance(owner, (dict, ModuleType)):
        return False
    attribute = _class_attribute(owner, name)
    return (
        attribute is None
        or isinstance(attribute, MemberDescriptorType)
        or name in getattr(owner, "__dict__", ())
    )


def _is_dataclass(value: object) -> bool:
    return hasattr(type(value), "__dataclass_fields__")


def _describe(value: object) -> str:
    if is_js_proxy(value):
        return "a JavaScript object"
    if isinstance(value, ModuleType):
        return "a module"
    if isinstance(value, type):
        return "a class"
    return "a function" if isinstance(value, _FUNCTIONS) else f"a {type(value).__name__}"


def _format_path(path: tuple[str, ...]) -> str:
    text = ".".join(path)
    return (
        f"'{text if len(text) <= MAX_SHOWN_PATH else text[:MAX_SHOWN_PATH] + '…'}'"
        if path
        else "the exposed object"
    )


def _access_error(path: tuple[str, ...], reason: str) -> AttributeError:
    return AttributeError(f"{_format_path(path)} is not reachable: {reason}")


def _parse_paths(option: str, paths: Iterable[str]) -> frozenset[tuple[str, ...]]:
    if isinstance(paths, str):
        raise TypeError(f"{option} is a collection of names, not the string {paths!r}")
    parsed = []
    for text in paths:
        if not isinstance(text, str):
            raise TypeError(
                f"{option} names are strings like 'settings.theme', not {short_repr(text)}"
            )
        path = tuple(text.split("."))
        if any(name.startswith("_") or not name for name in path):
            raise ValueError(f"{option} has {text!r} in it, which is private or empty")
        parsed.append(path)
    return frozenset(parsed)
