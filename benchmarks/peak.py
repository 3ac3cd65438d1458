"""How fast the machine multiplies matrices: what the shares in the other tables are shares of."""

from benchmarks.machine import MATRIX, cpus, has_bfloat16, matmul_peak
from benchmarks.report import Report, Table
from benchmarks.settings import Settings


def run(settings: Settings) -> Report:
    method = f"The fastest product of two {MATRIX}×{MATRIX} matrices, in torch or OpenVINO, {cpus()} threads."
    report = Report("Matrix product", method)
    table = Table(["type", "GFLOP/s"])
    for dtype in ("float32", "bfloat16"):
        if dtype == "bfloat16" and not has_bfloat16():
            report.missing.append("bfloat16: the processor doesn't have it.")
        else:
            table.rows.append([dtype, f"{matmul_peak(dtype) / 1e9:.0f}"])
    report.tables.append(table)
    return report
