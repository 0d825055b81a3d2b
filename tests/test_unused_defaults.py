"""A default of a parameter is there because some call of the package leaves the argument out.

A default that only tests use is code that no user reaches: it may be anything, and no test of what
the package does would see it. Functions are told apart by their names alone: one of a common name
may be passed over, but none is accused falsely.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import mediswift_cs

PACKAGE = Path(mediswift_cs.__file__).parent

# What others call as well, with the signature that they ask for.
CALLED_BY_OTHERS = {
    "Parser.parse_known_args": "argparse",
    "_Loader.construct_object": "yaml",
    "MediSwiftModel.__init__": "ModelZoo",
    "MediSwiftFineTuningModel.__init__": "ModelZoo",
}


def functions(tree: ast.Module) -> Iterator[tuple[str | None, ast.FunctionDef]]:
    """Each function with the class that it is a method of, if any."""
    for parent in ast.walk(tree):
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.FunctionDef):
                yield parent.name if isinstance(parent, ast.ClassDef) else None, node


def defaults(function: ast.FunctionDef) -> Iterator[tuple[str, int | None]]:
    """Name and place of each parameter with a default; None: by keyword only."""
    arguments = function.args
    by_place = [*arguments.posonlyargs, *arguments.args]
    first = len(by_place) - len(arguments.defaults)
    yield from ((by_place[i].arg, i) for i in range(first, len(by_place)))
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    yield from ((argument.arg, None) for argument, default in keywords if default)


def leaves_out(call: ast.Call, parameter: str, place: int | None) -> bool:
    """Whether a call may take the default; one with ``*`` or ``**`` may."""
    given = {keyword.arg for keyword in call.keywords}
    if None in given or any(isinstance(argument, ast.Starred) for argument in call.args):
        return True
    return parameter not in given and (place is None or len(call.args) <= place)


def unused_defaults(trees: Iterable[ast.Module]) -> list[str]:
    """The parameters whose function is called by name, by no call without them."""
    trees = list(trees)
    calls = defaultdict(list)
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                calls[name].append(node)
    unused = []
    for tree in trees:
        for owner, function in functions(tree):
            title = f"{owner}.{function.name}" if owner else function.name
            found = calls[owner if owner and function.name == "__init__" else function.name]
            is_static = any(ast.unparse(d) == "staticmethod" for d in function.decorator_list)
            for parameter, place in defaults(function):
                if place is not None and owner and not is_static:
                    place -= 1  # self is not among the arguments of a call
                if found and not any(leaves_out(call, parameter, place) for call in found):
                    unused.append(f"{title}: {parameter}")
    return unused


def test_each_default_is_taken_by_a_call_of_the_package() -> None:
    trees = [ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))]
    found = unused_defaults(trees)
    assert not [line for line in found if line.split(":")[0] not in CALLED_BY_OTHERS]
    # Control: those that are listed are there.
    assert {line.split(":")[0] for line in found} == CALLED_BY_OTHERS.keys()


def test_control_a_default_that_no_call_takes_is_seen() -> None:
    code = """
def f(a, b=1, *, c=2): ...
class K:
    def __init__(self, d=3): ...
    def m(self, e=4): ...
"""
    unused = ["f: b", "f: c", "K.__init__: d", "K.m: e"]
    assert unused_defaults([ast.parse(code + "f(0, 1, c=2); K(3).m(e=4)")]) == unused
    assert unused_defaults([ast.parse(code + "f(0, c=2); K(3).m()")]) == ["f: c", "K.__init__: d"]
    assert not unused_defaults([ast.parse(code + "f(0); K().m()")])
    assert not unused_defaults([ast.parse(code + "f(*x); K(**x).m(**x)")])
    # A function that is not called by name is called by others, such as torch.
    assert not unused_defaults([ast.parse(code)])
