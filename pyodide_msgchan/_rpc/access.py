"""What a remote caller can reach of an exposed object: what was declared, and nothing besides."""

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
"""Characters of a path that an error repeats."""


_FUNCTIONS: Final = (FunctionType, MethodType, BuiltinFunctionType, partial)


def is_function(value: object) -> bool:
    """Return True if a value is a function, which travels as a proxy by itself."""
    return isinstance(value, _FUNCTIONS) and not is_js_proxy(value)


class AccessPolicy:
    """An exposed object, and what of it is reachable.

    One name after the object: its own public methods and fields, the items of a dict, what a
    module defines. Further names only through dicts, the fields of dataclasses, and what `nested`
    declares. Never a name with a leading underscore, ClassVars of dataclasses neither; never into a
    class, a function, a module or a JavaScript object that stands in a field.

    Args:
        root: the exposed object.
        nested: dotted paths of objects whose own methods and fields are reachable too.
        writable: dotted paths that may be assigned to.

    Raises:
        TypeError: the object lives in JavaScript, or a path is no string.
        ValueError: a path has a private or an empty name in it.
    """

    __slots__ = ("_has_methods", "_nested", "_writable", "root")

    def __init__(
        self, root: object, nested: Iterable[str] = (), writable: Iterable[str] = ()
    ) -> None:
        if is_js_proxy(root):
            raise TypeError("a JavaScript object can't be exposed: nothing says what of it is safe")
        self.root = root
        self._has_methods = not isinstance(root, (dict, ModuleType, type, *_FUNCTIONS))
        self._nested = _paths("nested", nested)
        self._writable = _paths("writable", writable)

    def get(self, path: tuple[str, ...]) -> Any:
        """Return the value at a path.

        Raises:
            AttributeError: it is not reachable.
        """
        value = self._at(path)
        if isinstance(value, (type, ModuleType)) or is_js_proxy(value):
            raise _refused(path, f"{_kind(value)} can't be read")
        return value

    def set(self, path: tuple[str, ...], value: Any) -> None:
        """Assign to a path.

        Raises:
            AttributeError: it is not writable, or not reachable.
        """
        if path not in self._writable:
            raise _refused(path, "it is not writable")
        owner = self._owner(path)
        if isinstance(owner, dict):
            owner[path[-1]] = value
            return
        known = _class_attribute(owner, path[-1])
        if callable(known) or isinstance(known, (classmethod, staticmethod)):
            raise _refused(path, "a method can't be assigned to")
        setattr(owner, path[-1], value)

    def function(self, path: tuple[str, ...]) -> Callable[..., Any]:
        """Return what is to be called at a path.

        Raises:
            AttributeError: it is not reachable.
            TypeError: it can't be called from afar.
        """
        root = self.root
        if len(path) == 1 and self._has_methods:  # the same as below, for most calls
            (name,) = path
            if (
                type(type(root).__dict__.get(name)) is FunctionType
                and name[:1] != "_"
                and name not in getattr(root, "__dict__", ())
            ):
                return getattr(root, name)  # type: ignore[no-any-return]
        value = self._at(path)
        if isinstance(value, type):
            raise TypeError(f"{_dotted(path)} is a class: construct it, with new")
        if not callable(value) or is_js_proxy(value):
            raise TypeError(f"{_dotted(path)} is no function")
        return value  # type: ignore[no-any-return]

    def constructor(self, path: tuple[str, ...]) -> type:
        """Return the class to construct at a path: the root, a dict's item, or a module's own.

        Raises:
            AttributeError: it is not reachable.
            TypeError: it is no class, or one that an object merely holds.
        """
        value = self._at(path)
        if not isinstance(value, type):
            raise TypeError(f"{_dotted(path)} is no class")
        if path and not isinstance(self._owner(path), (dict, ModuleType)):
            raise TypeError(f"{_dotted(path)} is a class in a field, which can't be constructed")
        return value

    def _at(self, path: tuple[str, ...]) -> Any:
        if not path:
            return self.root
        owner = self._owner(path)
        value = self._member(owner, path, bare=len(path) > 1 and path[:-1] not in self._nested)
        if (
            callable(value)
            and not isinstance(value, (type, *_FUNCTIONS))
            and path not in self._nested
            and _is_field(owner, path[-1])
        ):
            raise _refused(path, f"{_kind(value)} in a field is reachable only if it is declared")
        return value

    def _owner(self, path: tuple[str, ...]) -> Any:
        """Return the object that the last name of a path belongs to."""
        owner = self.root
        for i in range(1, len(path)):
            here = path[:i]
            owner = self._member(owner, here, bare=i > 1 and here[:-1] not in self._nested)
            if isinstance(owner, (type, ModuleType, *_FUNCTIONS)) or is_js_proxy(owner):
                raise _refused(path, f"{_dotted(here)} is {_kind(owner)}")
            if not (isinstance(owner, dict) or _is_dataclass(owner) or here in self._nested):
                raise _refused(path, f"{_dotted(here)} is not declared as nested")
        return owner

    def _member(self, owner: Any, path: tuple[str, ...], *, bare: bool) -> Any:
        """Return what one object has by the last name of a path; if `bare`, of its fields alone."""
        name = path[-1]
        if name.startswith("_") or not name:
            raise _refused(path, "it is private")
        if isinstance(owner, dict):
            if name not in owner:
                raise _refused(path, "there is no such name")
            return owner[name]
        if isinstance(owner, ModuleType):
            return _module_member(owner, path)
        if isinstance(owner, (type, *_FUNCTIONS)):
            raise _refused(path, f"it belongs to {_kind(owner)}")
        if bare and name not in public_fields(owner):
            raise _refused(path, "it is no field of that dataclass")
        for kind in type(owner).__mro__:
            if name in vars(kind):
                if kind.__module__ == "builtins":
                    raise _refused(path, f"it belongs to the built-in class {kind.__name__}")
                break
        else:
            if name not in getattr(owner, "__dict__", ()):
                raise _refused(path, "there is no such name")
        return getattr(owner, name)


def _module_member(module: ModuleType, path: tuple[str, ...]) -> Any:
    """Return what a module defines: what it lists in `__all__`, else its functions and classes."""
    listed, name = getattr(module, "__all__", None), path[-1]
    if name not in (vars(module) if listed is None else listed):
        raise _refused(path, "there is no such name")
    value = getattr(module, name)
    if isinstance(value, ModuleType) or is_js_proxy(value):
        raise _refused(path, f"it is {_kind(value)} that was imported")
    if callable(value) and getattr(value, "__module__", None) != module.__name__:
        raise _refused(path, "it was imported")
    if listed is None and not isinstance(value, (FunctionType, type)):
        raise _refused(path, "a module without __all__ has only its functions and classes to offer")
    return value


def _class_attribute(owner: Any, name: str) -> Any:
    """Return what an object's class has by a name, as it stands there."""
    return next((vars(kind)[name] for kind in type(owner).__mro__ if name in vars(kind)), None)


def _is_field(owner: Any, name: str) -> bool:
    """Return True if a member is what an object holds, not what its class defines."""
    if isinstance(owner, (dict, ModuleType)):
        return False
    known = _class_attribute(owner, name)
    return (
        known is None
        or isinstance(known, MemberDescriptorType)
        or name in getattr(owner, "__dict__", ())
    )


def _is_dataclass(value: object) -> bool:
    return hasattr(type(value), "__dataclass_fields__")


def _kind(value: object) -> str:
    if is_js_proxy(value):
        return "a JavaScript object"
    if isinstance(value, ModuleType):
        return "a module"
    if isinstance(value, type):
        return "a class"
    return "a function" if isinstance(value, _FUNCTIONS) else f"a {type(value).__name__}"


def _dotted(path: tuple[str, ...]) -> str:
    text = ".".join(path)
    return (
        f"'{text if len(text) <= MAX_SHOWN_PATH else text[:MAX_SHOWN_PATH] + '…'}'"
        if path
        else "the exposed object"
    )


def _refused(path: tuple[str, ...], reason: str) -> AttributeError:
    return AttributeError(f"{_dotted(path)} is not reachable: {reason}")


def _paths(what: str, dotted: Iterable[str]) -> frozenset[tuple[str, ...]]:
    if isinstance(dotted, str):
        raise TypeError(f"{what} is a collection of names, not the string {dotted!r}")
    paths = []
    for text in dotted:
        if not isinstance(text, str):
            raise TypeError(
                f"{what} names are strings like 'settings.theme', not {short_repr(text)}"
            )
        path = tuple(text.split("."))
        if any(name.startswith("_") or not name for name in path):
            raise ValueError(f"{what} has {text!r} in it, which is private or empty")
        paths.append(path)
    return frozenset(paths)
