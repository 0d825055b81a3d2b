"""Whether the settings of a Wafer-Scale Cluster hold; imports no torch."""

from collections.abc import Iterator
from pathlib import Path

from mediswift_cs.params.problem import Problem
from mediswift_cs.params.rules import dataloaders
from mediswift_cs.params.schema import Params

CLUSTER_CONFIG = "trainer.init.backend.cluster_config"


def check_cluster_settings(params: Params) -> Iterator[Problem]:
    """What a run on a cluster needs and one traced batch does not show."""
    cluster = params.trainer.init.backend.cluster_config
    for path, loader in dataloaders(params):
        if path.startswith("trainer.fit.train_dataloader") and not loader.drop_last:
            yield Problem(
                path=f"{path}.drop_last",
                got="false",
                allowed="true: a CS-2 trains on batches of one shape",
            )
    if cluster is None:
        return
    for key, folders in (
        ("mount_dirs", cluster.mount_dirs),
        ("python_paths", cluster.python_paths),
    ):
        for index, folder in enumerate(folders or []):
            if not isinstance(folder, str) or not Path(folder).is_dir():
                yield Problem(
                    path=f"{CLUSTER_CONFIG}.{key}.{index}",
                    got=repr(folder),
                    allowed="a folder that exists here and on the cluster",
                )
    if cluster.mount_dirs and not cluster.automount:
        yield from _unmounted_data(params, [Path(folder) for folder in cluster.mount_dirs])


def _unmounted_data(params: Params, mounted: list[Path]) -> Iterator[Problem]:
    roots = [folder.resolve() for folder in mounted]
    for path, loader in dataloaders(params):
        for folder in loader.data_dirs:
            if not any(Path(folder).resolve().is_relative_to(root) for root in roots):
                yield Problem(
                    path=f"{path}.data_dir",
                    got=repr(folder),
                    allowed=f"a folder below one of {CLUSTER_CONFIG}.mount_dirs, because "
                    f"automount is false",
                )
