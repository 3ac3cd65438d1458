"""The strings of the Explore tab; a figure's own stand in its file."""

EXPLORE: dict[str, tuple[str, str]] = {
    "tab_explore": ("Explore", "探索"),
    "part_figures": ("Claims, drawn", "论断图示"),
    "part_architecture": ("Architectures", "网络结构"),
    "claims": ("A claim of the papers, computed now", "论文中的论断，现场计算"),
    "figure_controls": ("What it is computed for", "计算条件"),
    "figure_source": ("Source: {source}.", "出处：{source}。"),
    "figure_failed": (
        "This figure could not be drawn ({kind}); the server's log has the details.",
        "无法绘制此图（{kind}），详情见服务器日志。",
    ),
    # an architecture
    "model": ("Model", "模型"),
    "input_height": ("Height, px", "高，像素"),
    "input_width": ("Width, px", "宽，像素"),
    "config": ("Its config, to change", "可修改的配置"),
    "config_text": ("Config (JSON)", "配置（JSON）"),
    "config_info": (
        "model_type names the family; what is left out takes the paper's value.",
        "model_type 指明家族；未写的字段取论文中的值。",
    ),
    "config_show": ("Show this config", "显示此配置"),
    "config_title": ("Your config", "你的配置"),
    "size_missing": (
        "Give the picture's height and width, whole numbers from 1 to {most}.",
        "请给出图片的高和宽，1 到 {most} 的整数。",
    ),
    "architecture_failed": (
        "This architecture could not be shown ({kind}); the server's log has the details.",
        "无法显示此结构（{kind}），详情见服务器日志。",
    ),
    "tree_name": ("module", "模块"),
    "tree_root": ("the whole net", "整个网络"),
    "tree_kind": ("class", "类"),
    "tree_kernel": ("kernel", "卷积核"),
    "tree_shape": ("output", "输出"),
    "tree_parameters": ("parameters", "参数"),
    "tree_multiply_adds": ("multiply-adds", "乘加次数"),
    "tree_receptive_field": ("receptive field", "感受野"),
    "tree_field": ("receptive field {field}", "感受野 {field}"),
    "tree_size": ("for a picture of {height} × {width} pixels", "输入 {height} × {width} 像素"),
    "tree_whole": ("all", "全图"),
    "tree_note": (
        "×N: as many equal modules in a row. Numbers are of one of them; bars are all of them together, as a share of "
        "the net. Activations and dropout, which have neither parameters nor multiply-adds, are left out.",
        "×N：连续 N 个相同的模块。数字为其中一个的，条形为全部合计占整个网络的比例。"
        "没有参数也没有乘加的激活与 dropout 从略。",
    ),
    # a picture's way through it
    "walk_title": ("A picture walks through it", "一张图片走过网络"),
    "walk_sample": ("Samples", "示例"),
    "walk_picture": ("The picture that walks through", "走过网络的图片"),
    "walk_layers": ("Layer whose channels are shown", "显示其通道的层"),
    "walk_untrained": (
        "This net is untrained: a config comes without weights, so it has its initial ones. The maps show what the "
        "layers do to a picture before anything is learnt.",
        "此网络未经训练：配置不含权重，因此用的是初始权重。这些图展示各层在学到任何东西之前对图片的处理。",
    ),
    "walk_channels": (
        "This net takes pictures of {n} channels, and a photo has 3 or 1: only its structure is shown.",
        "此网络的输入为 {n} 个通道，而照片只有 3 或 1 个：只显示结构。",
    ),
    "walk_large": (
        "No picture walks through so large a net here ({n}, {adds} multiply-adds; at most {most} and {most_adds}): "
        "only its structure is shown.",
        "网络过大，此处不让图片走过（{n}，{adds} 次乘加；上限为 {most} 与 {most_adds}）：只显示结构。",
    ),
    "walk_hub": (
        "The weights of {title} are on the Hub ({place}) and not on this machine, so only its structure is shown. "
        "At hand are those of {titles}.",
        "{title} 的权重在 Hub 上（{place}），不在本机，因此只显示结构。本机已有权重的是 {titles}。",
    ),
    "walk_comma": (", ", "、"),
    "walk_unknown": ("“{layer}” is no layer that makes maps.", "“{layer}” 不是产生特征图的层。"),
    "walk_failed": (
        "The picture could not be walked through ({kind}); the server's log has the details.",
        "图片无法走过网络（{kind}），详情见服务器日志。",
    ),
    "walk_seen": ("what the net is shown", "网络所见"),
    "walk_seen_alt": (
        "The part of the picture in the size that the net takes",
        "图片中网络所取的部分，按网络输入的大小",
    ),
    "walk_map_alt": ("Map of {name} over the picture", "{name} 在图片上的特征图"),
    "walk_note": (
        "Where the map is about to change its size: the mean magnitude of all channels, from least (dark) to most "
        "(light).",
        "特征图即将改变大小之处：所有通道幅值的平均，由最小（深）到最大（浅）。",
    ),
    "walk_layer": (
        "{layer}: the {n} strongest of {count} channels",
        "{layer}：{count} 个通道中最强的 {n} 个",
    ),
    "walk_channel": ("channel {i}", "通道 {i}"),
    "walk_channels_note": (
        "Each from its own least (dark) to its most (light); strongest by mean magnitude.",
        "每幅由其最小值（深）到最大值（浅）；按平均幅值排序。",
    ),
    # both
    "computing": (
        "Computing. The first figure loads PyTorch, which takes some seconds.",
        "计算中。首次需加载 PyTorch，约需数秒。",
    ),
}
