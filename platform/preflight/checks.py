"""The checks of the preflight by name, in the order in which they are printed."""

from platform.preflight.cluster_file import check_cluster_file, check_connection
from platform.preflight.context import Check
from platform.preflight.machines import (
    check_code,
    check_disks,
    check_open_files,
    check_packages,
    check_python,
    check_shared_memory,
    check_shim,
)
from platform.preflight.ray_instance import check_clocks, check_ray, check_resources, check_token
from platform.preflight.storage import check_data, check_database, check_storage

CHECKS: dict[str, Check] = {
    "python": check_python,
    "packages": check_packages,
    "platform": check_shim,
    "code": check_code,
    "open files": check_open_files,
    "shared memory": check_shared_memory,
    "token": check_token,
    "ray": check_ray,
    "resources": check_resources,
    "storage": check_storage,
    "disks": check_disks,
    "database": check_database,
    "data": check_data,
    "clocks": check_clocks,
    "cluster file": check_cluster_file,
    "connection": check_connection,
}
