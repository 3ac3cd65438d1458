"""How a net of patches cuts pictures."""


def patch_grid(size: int, fill: bool, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of patches of `size` pixels a side; a last patch may lack a part where zeros `fill` it."""
    part = size - 1 if fill else 0
    return (height + part) // size, (width + part) // size
