"""The strings of the Explore tab; a figure's own stand in its file."""

EXPLORE: dict[str, tuple[str, str]] = {
    "tab_explore": ("Explore", "探索"),
    "part_figures": ("Claims, drawn", "论断图示"),
    "part_architecture": ("Architectures", "网络结构"),
    "figure": ("A claim of the papers, computed now", "论文中的论断，现场计算"),
    "figure_controls": ("What it is computed for", "计算条件"),
    "figure_source": ("Source: {source}.", "出处：{source}。"),
    "figure_failed": (
        "This figure could not be drawn ({kind}); the server's log has the details.",
        "无法绘制此图（{kind}），详情见服务器日志。",
    ),
    "computing": (
        "Computing. The first figure loads PyTorch, which takes some seconds.",
        "计算中。首次需加载 PyTorch，约需数秒。",
    ),
}
