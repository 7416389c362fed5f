"""The type that metrics are computed from, importable without torch: the type checker sees the real one."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.eval.generation.evaluation import GeneratorEvaluation
else:
    GeneratorEvaluation = Any

__all__ = ["GeneratorEvaluation"]
