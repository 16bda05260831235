"""What npu-exporter says, in the form of the vendor's manual: labels, and the time of each figure in milliseconds."""

CHIP = (
    'container_name="",id="{id}",model_name="910A-Ascend-V1",namespace="",pcie_bus_info="0000:61:00.0",pod_name="",'
    'vdie_id="185011D4-21104518"'
)
FIGURES = {
    "error_code": 0,
    "hbm_total_memory": 32768,
    "hbm_used_memory": 28000,
    "health_status": 1,
    "power": 280.1,
    "temperature": 61,
    "utilization": 91,
}


def exporter_says(*devices: int, at: float | None = None, **changed: object) -> str:
    """Return its answer; `changed` figures are those of the last device."""
    lines = ["# HELP machine_npu_nums Amount of npu installed on the machine.", f"machine_npu_nums {len(devices)}"]
    for name, figure in FIGURES.items():
        lines += [f"# HELP npu_chip_info_{name} the npu {name}", f"# TYPE npu_chip_info_{name} gauge"]
        for device in devices:
            value = changed.get(name, figure) if device == devices[-1] else figure
            time = "" if at is None else f" {int(at * 1000)}"
            lines.append(f"npu_chip_info_{name}{{{CHIP.format(id=device)}}} {value}{time}")
    return "\n".join([*lines, "process_open_fds 12", ""])
